# SPDX-License-Identifier: GPL-2.0-or-later
#
# Reads the output of tests/guest/suite, prints one line for each program and everything that a
# failed one wrote, and appends "SUITE/NAME PASSED FAILED SKIPPED SECONDS" to the file `results`.
# A program fails that prints no plan, runs fewer tests than planned, ends with a status although
# all its tests passed, or never ends. Variables: suite, results, expected (paths, one a line), and
# again: a file for the paths of the programs that a fault of the emulated machine cut off, which are
# then no failures yet. Empty: they are. doubtful: a file for the paths and names of the programs that
# failed, but for those that crashed, or that drew a seed and so would not do the same again.

function name_of(path) {
	sub(/.*\//, "", path)
	sub(/^(test|netns|fuzz)-/, "", path)
	return suite "/" path
}

function reset() {
	planned = passed = failed = skipped = plans = lines = seeded = 0
}

function report(path, status, seconds,    i, missing, why) {
	missing = planned - passed - failed - skipped
	if (!plans)
		why = "no test plan"
	else if (missing > 0)
		why = missing " of " planned " tests did not end"
	else if (missing < 0)
		why = "more tests than planned"
	if (missing > 0)
		failed += missing
	if (status == 124 || status == 137)
		why = why (why ? ", " : "") "killed at its time limit"
	if (status == "none")
		why = why (why ? ", " : "") "never ended"
	else if (status != 0)
		why = why (why ? ", " : "") "status " status
	if (why && !failed)
		failed = 1
	if (failed && !seeded && (status < 128 || status == 137) && doubtful != "")
		print path, name_of(path) >>doubtful
	printf "%-6s %-32s %3d passed, %d failed, %d skipped %8.2f s%s\n", failed ? "FAILED" : "ok",
		name_of(path), passed, failed, skipped, seconds, why ? "  (" why ")" : ""
	for (i = 0; i < lines; i++)
		if (failed || output[i] ~ /# SKIP/)
			print "    " output[i]
	print name_of(path), passed, failed, skipped, seconds >>results
	fflush()
	delete waiting[path]
	current = ""
	reset()
}

BEGIN {
	n = split(expected, paths, "\n")
	for (i = 1; i <= n; i++)
		if (paths[i] != "")
			waiting[paths[i]] = 1
	reset()
}

/^#> begin / {
	current = $3
	reset()
	next
}

/^#< end / {
	report($3, $4, $5)
	next
}

/^guest\/run: the emulated machine failed: / {
	fault = $0
}

current == "" {
	print "    " $0
	fflush()
	next
}

{
	output[lines++] = $0
}

/IPVSD_TEST_SEED=/ {
	seeded = 1
}

/^1\.\.[0-9]+/ {
	planned += substr($1, 4)
	plans++
}

/^(not )?ok [0-9]/ {
	if (/# *(SKIP|skip)/)
		skipped++
	else if (/^not/)
		failed++
	else
		passed++
}

END {
	if (fault && again != "") {
		for (i = 1; i <= n; i++)
			if (paths[i] in waiting)
				print paths[i] >again
		for (i = 0; i < lines; i++)
			print "    " output[i]
		exit
	}
	if (current != "")
		report(current, "none", 0)
	for (path in waiting)
		report(path, "none", 0)
}
