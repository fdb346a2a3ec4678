"""What a cloud node uses to check tokens: joserfc for signatures, httpx for keys."""
