"""What a sampler does around the denoiser: checked conditions, passes of guidance, pictures."""
