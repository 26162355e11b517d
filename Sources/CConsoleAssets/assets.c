#include "console_assets.h"

// Defined by generated/bundle.S, which scripts/bootstrap writes; weak, so that a build without it still links.
extern const unsigned char tundish_bundle_start[] __attribute__((weak));
extern const unsigned char tundish_bundle_end[] __attribute__((weak));

const unsigned char *tundish_console_assets(size_t *size) {
    if (!tundish_bundle_start || !tundish_bundle_end) {
        *size = 0;
        return NULL;
    }
    *size = (size_t)(tundish_bundle_end - tundish_bundle_start);
    return tundish_bundle_start;
}
