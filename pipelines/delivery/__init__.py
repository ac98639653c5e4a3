"""What leaves the house: prediction, export, the demonstration and the doctor."""
