"""What a sampler does around the denoiser: checked conditions in, passes of guidance, pictures out."""
