package all

import (
	_ "ebofs/osd/cls/lock"
	_ "ebofs/osd/cls/rbd"
	_ "ebofs/osd/cls/refcount"
	_ "ebofs/osd/cls/version"
)
