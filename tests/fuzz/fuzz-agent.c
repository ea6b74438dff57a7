/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an agent and a check program say, and a command line as the configuration has it.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/command.h"
#include "health/agent-line.h"
#include "health/exec-output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void split_command(const char *text, size_t size)
{
	char *argv[COMMAND_WORDS_MAX + 1], *copy = malloc(size + 1);
	size_t total = 0;
	int n;

	if (!copy)
		return;
	memcpy(copy, text, size);
	copy[size] = '\0';
	n = command_split(copy, argv);
	for (int i = 0; i < n; i++) {
		assert(argv[i] >= copy && argv[i] + strlen(argv[i]) <= copy + size);
		total += strlen(argv[i]) + 1;
	}
	assert(n < 0 || (n <= COMMAND_WORDS_MAX && !argv[n] && total <= size + 1));
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Memory that ends where the text does. */
	char *text = malloc(size ? size : 1);
	struct agent_report r;
	int32_t weight;

	if (!text)
		return 0;
	memcpy(text, data, size);
	if (agent_line_parse(text, size, &r) == 0) {
		assert(r.advice < _PROBE_ADVICE_MAX);
		assert(r.weight_percent >= -1 && r.weight_percent <= PROBE_WEIGHT_PERCENT_MAX);
		assert(r.down || r.advice != PROBE_ADVICE_DOWN);
	}
	weight = exec_output_weight(text, size);
	assert(weight >= -1 && weight <= PROBE_WEIGHT_PERCENT_MAX);
	split_command(text, size);
	free(text);
	return 0;
}
