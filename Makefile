# make demo      build, run a simulated plant and the console on it
# make test      everything that must hold: unit tests, foreign peers, the console in a browser
# make bench     the measured figures, each beside the limit it is held against
# make ledger    kills the broker KILLS times under load and prints what was acknowledged to whom (default 200),
#                then makes its disk go bad FAULTS times in each of three ways (default 60)
# make fuzz      the fuzzers, SECONDS each (default 60)
# make sanitize  the unit tests under AddressSanitizer, then under ThreadSanitizer
# make lint      formatting
# make install   the executable into PREFIX/bin (default /usr/local)

PREFIX ?= /usr/local
SECONDS ?= 60
KILLS ?= 200
FAULTS ?= 60
RELEASE = .build/release/tundish
FUZZERS = MQTTCodec MQTTSession ModbusCodec SQLParser ResourceParser JournalRecovery

.PHONY: demo test unit integration release bench ledger fuzz sanitize lint install clean

demo: release
	$(RELEASE) demo

release:
	@scripts/bootstrap build
	swift build -c release --product tundish

test: unit integration

unit:
	@scripts/bootstrap test
	swift build --build-tests
	swift test --skip-build --no-parallel

integration:
	@scripts/bootstrap test
	swift build --product tundish
	.venv/bin/python -m pytest Tests/Integration -q -p no:cacheprovider

bench: release
	@scripts/bootstrap test
	$(RELEASE) bench gateway
	$(RELEASE) bench rules
	$(RELEASE) bench historian
	$(RELEASE) bench broker

ledger: release
	@scripts/bootstrap test
	.venv/bin/python Tests/Ledger/ledger.py --binary $(RELEASE) --kills $(KILLS)
	@for disk in full read-only failing-sync; do \
	    .venv/bin/python Tests/Ledger/ledger.py --binary $(RELEASE) --kills $(FAULTS) --disk $$disk || exit 1; \
	done

# Leak detection is off: it takes Swift's globals, which live as long as the process, for leaks.
fuzz:
	@scripts/bootstrap build
	@for name in $(FUZZERS); do \
	    TUNDISH_FUZZ=1 swift build -c release --product Fuzz$$name --scratch-path .build-fuzz || exit 1; \
	    mkdir -p .build-fuzz/corpus/$$name; \
	    ASAN_OPTIONS=detect_leaks=0 .build-fuzz/release/Fuzz$$name -max_total_time=$(SECONDS) -max_len=65536 -timeout=10 \
	        -artifact_prefix=.build-fuzz/ .build-fuzz/corpus/$$name \
	        $$(test -d Fuzz/$$name/seeds && echo Fuzz/$$name/seeds) || exit 1; \
	done

sanitize:
	@scripts/bootstrap test
	@for kind in address thread; do \
	    swift build --build-tests --sanitize=$$kind --scratch-path .build-$$kind || exit 1; \
	    ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=halt_on_error=0:suppressions=Tests/thread-sanitizer.txt \
	        swift test --skip-build --no-parallel --sanitize=$$kind --scratch-path .build-$$kind || exit 1; \
	done

lint:
	swift format lint --strict --recursive --parallel Package.swift Sources Tests Fuzz

install: release
	install -D -m 0755 $(RELEASE) $(DESTDIR)$(PREFIX)/bin/tundish

clean:
	rm -rf .build .build-fuzz .build-address .build-thread
