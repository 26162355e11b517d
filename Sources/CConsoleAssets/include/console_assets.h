#ifndef TUNDISH_CONSOLE_ASSETS_H
#define TUNDISH_CONSOLE_ASSETS_H

#include <stddef.h>

/// The console's asset bundle that scripts/bootstrap made, or NULL when the executable was built without it.
/// `size` receives its length in bytes.
const unsigned char *tundish_console_assets(size_t *size);

#endif
