/* device.h - is the device that a test asks for there, and sound? */
#ifndef VT_PARITY_DEVICE_H
#define VT_PARITY_DEVICE_H

#include <stdbool.h>

/* False, after saying why, when this machine has no such device, or only one whose driver is known to crash. */
bool parity_device_works(const char *name);

#endif
