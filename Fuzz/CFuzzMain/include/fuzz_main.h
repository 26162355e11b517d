// The entries of the fuzzers' executables. Swift's package manager gives `main` of each executable a name of its own
// and so hides that of libFuzzer; these are those names.
#pragma once

#include <stddef.h>
#include <stdint.h>
