"""Scores: the RRC protocols for detection and end-to-end spotting, thresholds, recognition. Needs no torch."""

from textspot.metrics.errors import KINDS, Error, find_errors
from textspot.metrics.protocols import PROTOCOLS, GroundTruth, Protocol, build_protocol
from textspot.metrics.recognition import score_recognition
from textspot.metrics.rrc_files import RrcFormatError, read_ground_truths, read_results, write_result
from textspot.metrics.rules import Figures, ImageResult
from textspot.metrics.scoring import Scores, score_files, score_image, score_images
from textspot.metrics.thresholds import average_precision, select_threshold, two_fold

__all__ = [
    "KINDS",
    "PROTOCOLS",
    "Error",
    "Figures",
    "GroundTruth",
    "ImageResult",
    "Protocol",
    "RrcFormatError",
    "Scores",
    "average_precision",
    "build_protocol",
    "find_errors",
    "read_ground_truths",
    "read_results",
    "score_files",
    "score_image",
    "score_images",
    "score_recognition",
    "select_threshold",
    "two_fold",
    "write_result",
]
