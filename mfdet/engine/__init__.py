"""Training and testing around mmengine's Runner."""
