"""examples/train.py at its own pace until the file named first is there, then as fast as it can."""

import sys
import time
from pathlib import Path

import train

hurry, wait = Path(sys.argv.pop(1)), time.sleep
time.sleep = lambda seconds: None if hurry.exists() else wait(seconds)
sys.exit(train.main())
