"""What "correct" means, one room for each kind of problem; `pool` is the machinery that keeps graders bounded."""
