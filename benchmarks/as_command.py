"""Import this first: the process shares its cores and memory as that of the `ahl` command does.

Before torch is loaded, which reads the settings then.
"""

from ahl._common.process_settings import settle_process

settle_process()
