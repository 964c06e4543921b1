"""What the inputs and outputs of an exported detector are called."""

INPUTS = ('images', 'sizes')
OUTPUTS = ('boxes', 'scores', 'labels')
