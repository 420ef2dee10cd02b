"""What a user waits for, and what it takes: latency stage by stage, throughput, memory, start-up, other programs."""
