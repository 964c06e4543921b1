# default.py with weights averaged over the training, for validation and for the best checkpoint.
_base_ = ['default.py']
custom_hooks = [dict(type='PlainCheckpointHook'), dict(type='ReportHook'), dict(type='PowerEMAHook')]
