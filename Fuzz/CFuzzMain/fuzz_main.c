#include "fuzz_main.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t count));

#define ENTRY(name) \
    int name(int argc, char **argv) { return LLVMFuzzerRunDriver(&argc, &argv, LLVMFuzzerTestOneInput); }

ENTRY(FuzzJournalRecovery_main)
ENTRY(FuzzModbusCodec_main)
ENTRY(FuzzMQTTCodec_main)
ENTRY(FuzzMQTTSession_main)
ENTRY(FuzzResourceParser_main)
ENTRY(FuzzSQLParser_main)
