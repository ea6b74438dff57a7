/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Verbs and options against the manual page and the completion; parsing; tables and the status page. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/keys.h"
#include "daemon/cli-status.h"
#include "daemon/cli.h"
#include "daemon/table.h"

enum {
	FILE_MAX = 256 * 1024,
	ARGUMENTS_MAX = 8,
};

static char *read_source(const char *name)
{
	const char *root = getenv("IPVSD_SOURCE_ROOT");
	_cleanup_fclose_ FILE *f = NULL;
	char path[512];
	char *text = calloc(1, FILE_MAX);

	(void)snprintf(path, sizeof(path), "%s/%s", root ? root : ".", name);
	f = fopen(path, "re");
	if (!f)
		fail_msg("%s: cannot be opened", path);
	assert_non_null(text);
	assert_true(fread(text, 1, FILE_MAX - 1, f) > 0);
	return text;
}

/* Every verb and every option has its place in the manual page. */
static void test_manual_knows_all(void **state)
{
	_cleanup_free_ char *manual = read_source("daemon/ipvsd.8");
	char item[64];

	(void)state;
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		(void)snprintf(item, sizeof(item), "\n.It Cm %s", v->name);
		if (!v->hidden && !strstr(manual, item))
			fail_msg("ipvsd.8 has no \".It Cm %s\"", v->name);
	}
	for (const struct cli_option *o = cli_options; o->name; o++) {
		(void)snprintf(item, sizeof(item), "Fl -%s", o->name);
		if (!strstr(strstr(manual, "\n.Ss Options"), item))
			fail_msg("ipvsd.8 does not describe --%s", o->name);
	}
}

/* Is the verb one of "\tdrain | undrain" up to the parenthesis? */
static bool branch_is_for(const char *branch, size_t len, const char *verb)
{
	size_t verb_len = strlen(verb);

	for (size_t i = 1; i + verb_len <= len; i++) {
		if (!strncmp(branch + i, verb, verb_len) && strchr("\t ", branch[i - 1]) &&
		    (i + verb_len == len || branch[i + verb_len] == ' '))
			return true;
	}
	return false;
}

/* The line of the verb's branch in the completion: "\tdrain | undrain) options='--x --y' ;;". Owned by the caller. */
static char *find_branch(const char *completion, const char *verb)
{
	for (const char *line = completion, *end; (end = strchr(line, '\n')); line = end + 1) {
		const char *options = strstr(line, ") options='");

		if (options && options < end && branch_is_for(line, (size_t)(options - line), verb))
			return strndup(options, (size_t)(end - options));
	}
	return NULL;
}

static void assert_completes(const char *completion, const struct cli_verb *v)
{
	_cleanup_free_ char *branch = find_branch(completion, v->name);
	char word[64];

	if (!branch) {
		fail_msg("the completion has no options for %s", v->name);
		return;
	}
	for (const struct cli_option *o = cli_options; o->name; o++) {
		const char *at;
		bool offered;

		/* "--targets" is not "--target" */
		(void)snprintf(word, sizeof(word), "--%s", o->name);
		for (at = strstr(branch, word); at && !strchr(" '", at[strlen(word)]);)
			at = strstr(at + 1, word);
		offered = at;
		if (offered != (strchr(v->options, o->letter) != NULL))
			fail_msg("completion of %s: --%s is %s", v->name, o->name,
				 offered ? "offered" : "not offered");
	}
}

static void test_completion_knows_all(void **state)
{
	_cleanup_free_ char *completion = read_source("daemon/ipvsd.bash-completion");
	char verbs[512] = "verbs='";

	(void)state;
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		if (v->hidden)
			continue;
		(void)strncat(verbs, v->name, sizeof(verbs) - strlen(verbs) - 1);
		(void)strncat(verbs, v[1].name && !v[1].hidden ? " " : "'",
			      sizeof(verbs) - strlen(verbs) - 1);
		assert_completes(completion, v);
	}
	if (!strstr(completion, verbs))
		fail_msg("the completion lacks %s", verbs);
}

struct parse_case {
	const char *arguments[ARGUMENTS_MAX]; /* the verb first */
	int status;
	struct cli expected;
};

static const struct parse_case parse_cases[] = {
	{ { "check" }, CLI_OK, { .weight = -1, .lines = -1 } },
	{ { "check", "a" }, CLI_OK, { .weight = -1, .lines = -1, .n_args = 1 } },
	{ { "check", "a", "b" }, CLI_USAGE, { 0 } },
	{ { "check", "--json" }, CLI_USAGE, { 0 } },
	{ { "status", "--watch" }, CLI_OK, { .weight = -1, .lines = -1, .watch_seconds = 2 } },
	{ { "status", "--watch", "5" }, CLI_OK, { .weight = -1, .lines = -1, .watch_seconds = 5 } },
	{ { "status", "-w9" }, CLI_OK, { .weight = -1, .lines = -1, .watch_seconds = 9 } },
	{ { "status", "--watch=x" }, CLI_USAGE, { 0 } },
	{ { "status", "--watch", "x" }, CLI_USAGE, { 0 } },
	{ { "status", "x" }, CLI_USAGE, { 0 } },
	{ { "register", "g" }, CLI_USAGE, { 0 } },
	{ { "register", "g", "t", "--weight", "7", "--zone=a" },
	  CLI_OK,
	  { .weight = 7, .lines = -1, .n_args = 2, .zone = "a" } },
	{ { "register", "g", "t", "--weight", "65536" }, CLI_USAGE, { 0 } },
	{ { "register", "g", "t", "--weight", "-1" }, CLI_USAGE, { 0 } },
	{ { "drain", "g", "t", "--weight", "1" }, CLI_USAGE, { 0 } },
	{ { "events", "-f", "-n", "3", "--json" },
	  CLI_OK,
	  { .weight = -1, .lines = 3, .follow = true, .json = true } },
	{ { "events", "-n", "" }, CLI_USAGE, { 0 } },
	{ { "events", "--group=g", "--target", "t", "--since", "10m" },
	  CLI_OK,
	  { .weight = -1, .lines = -1 } },
	{ { "describe-target-health" }, CLI_USAGE, { 0 } },
	{ { "describe-target-health", "g", "--targets", "Id=10.0.0.1", "Id=10.0.0.2" },
	  CLI_OK,
	  { .weight = -1, .lines = -1, .n_args = 2 } },
	{ { "replay", "g", "--unhealthy-threshold", "0" }, CLI_USAGE, { 0 } },
	{ { "replay", "g", "--timeout", "x" }, CLI_USAGE, { 0 } },
	{ { "replay", "g", "--healthy-threshold", "3", "--timeout=500ms" },
	  CLI_OK,
	  { .weight = -1, .lines = -1, .n_args = 1 } },
	{ { "explain", "a", "b", "c" }, CLI_USAGE, { 0 } },
	{ { "run", "--state-directory", "/s", "-c", "f" },
	  CLI_OK,
	  { .weight = -1,
	    .lines = -1,
	    .has_config = true,
	    .config = "f",
	    .state_directory = "/s" } },
};

static void assert_parses(const struct parse_case *p)
{
	char *argv[ARGUMENTS_MAX + 1] = { NULL };
	struct cli cli = { 0 };
	bool help;
	int argc = 0, status;

	for (; argc < ARGUMENTS_MAX && p->arguments[argc]; argc++)
		argv[argc] = strdup(p->arguments[argc]);
	status = cli_parse(cli_find_verb(argv[0]), argc, argv, &cli, &help);
	if (status != p->status)
		fail_msg("%s %s: %d", argv[0], argc > 1 ? argv[1] : "", status);
	if (status == CLI_OK) {
		assert_false(help);
		assert_int_equal(cli.weight, p->expected.weight);
		assert_int_equal(cli.lines, p->expected.lines);
		assert_int_equal(cli.watch_seconds, p->expected.watch_seconds);
		assert_int_equal(cli.n_args, p->expected.n_args);
		assert_int_equal(cli.json, p->expected.json);
		assert_int_equal(cli.follow, p->expected.follow);
		assert_int_equal(cli.has_config, p->expected.has_config);
		assert_string_equal(cli.zone ? cli.zone : "",
				    p->expected.zone ? p->expected.zone : "");
		assert_string_equal(cli.config,
				    p->expected.config ? p->expected.config : CLI_CONFIG_DEFAULT);
	}
	for (int i = 0; i < ARGUMENTS_MAX; i++)
		free(argv[i]);
}

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(parse_cases); i++)
		assert_parses(&parse_cases[i]);
}

static void test_suggest(void **state)
{
	(void)state;
	assert_string_equal(cli_suggest_verb("staus"), "status");
	assert_string_equal(cli_suggest_verb("reloda"), "reload");
	assert_string_equal(cli_suggest_verb("undrian"), "undrain");
	assert_null(cli_suggest_verb("frobnicate"));
	assert_null(cli_suggest_verb("health-worke")); /* internal: never suggested */
	assert_null(cli_suggest_verb("a-name-that-is-longer-than-every-verb-of-the-table"));
}

static void test_numbers(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} numbers[] = {
		{ 0, "0" },
		{ 999, "999" },
		{ 1000, "1.0k" },
		{ 1999, "1.9k" },
		{ 9999, "9.9k" },
		{ 10000, "10k" },
		{ 999999, "999k" },
		{ 1000000, "1.0M" },
		{ UINT64_MAX, "18E" },
		{ 12345678901, "12G" },
	};
	static const struct {
		usec_t usec;
		const char *text;
	} durations[] = {
		{ 0, "0s" },
		{ 59 * USEC_PER_SEC, "59s" },
		{ 60 * USEC_PER_SEC, "1m00s" },
		{ 3599 * USEC_PER_SEC, "59m59s" },
		{ 3660 * USEC_PER_SEC, "1h01m" },
		{ 90000 * USEC_PER_SEC, "1d01h" },
	};
	char buf[TABLE_NUMBER_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		assert_string_equal(table_format_number(numbers[i].n, buf), numbers[i].text);
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++)
		assert_string_equal(table_format_duration(durations[i].usec, buf),
				    durations[i].text);
}

static char *print_table(unsigned width, bool colour)
{
	static const struct table_column columns[] = {
		{ "NAME", false, 0, false },
		{ "N", true, 2, false },
		{ "EXTRA", false, 1, true },
	};
	_cleanup_(table_deinit) struct table t;
	struct table_style style = { width, colour };
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	table_init(&t, columns, ARRAY_SIZE(columns));
	table_add(&t, TABLE_PLAIN, "é");
	table_add(&t, TABLE_RED, "5");
	table_add(&t, TABLE_PLAIN, "a\033b");
	table_add(&t, TABLE_PLAIN, "long-name");
	table_add(&t, TABLE_PLAIN, "1000");
	table_add(&t, TABLE_PLAIN, "an explanation: naïve, of thirty");
	table_print(&t, &style, 1, f);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void test_table(void **state)
{
	_cleanup_free_ char *wide = print_table(0, false), *cut = print_table(40, false),
			    *narrow = print_table(36, false), *least = print_table(8, false),
			    *colour = print_table(0, true);

	(void)state;
	assert_string_equal(wide, " NAME          N  EXTRA\n"
				  " é             5  a?b\n"
				  " long-name  1000  an explanation: naïve, of thirty\n");
	assert_string_equal(cut, " NAME          N  EXTRA\n"
				 " é             5  a?b\n"
				 " long-name  1000  an explanation: naïve…\n");
	assert_string_equal(narrow, " NAME          N\n"
				    " é             5\n"
				    " long-name  1000\n");
	assert_string_equal(least, " NAME\n é\n long-name\n");
	assert_non_null(strstr(colour, "\033[1;31m5\033[0m"));
}

static char *render(const char *json, unsigned width)
{
	struct table_style style = { width, false };
	json_t *status = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(status);
	assert_non_null(f);
	/* 2026-11-22 10:01:05 UTC */
	cli_status_render(status, &style, 1795341665 * USEC_PER_SEC, f);
	assert_int_equal(fclose(f), 0);
	json_decref(status);
	return text;
}

static const char status_json[] =
	"{\"version\":\"0.1.0\",\"uptime_seconds\":65.2,\"config\":\"/etc/ipvsd/ipvsd.conf\","
	"\"loaded\":\"2026-11-22T10:00:00Z\",\"plane\":\"kernel\",\"last_error\":\"line\\u001b 3\","
	"\"warnings\":[\"no VIP\"],\"health\":{\"alive\":false,\"alarms\":[\"late by \\u001b 2 "
	"s\"],"
	"\"lateness_us\":{\"probes\":9,\"p50\":100,\"p99\":2500},\"workers\":["
	"{\"kind\":\"network\",\"number\":0,\"lateness_p99_us\":900},"
	"{\"kind\":\"network\",\"number\":1,\"lateness_p99_us\":87600},"
	"{\"kind\":\"exec\",\"number\":65,\"lateness_p99_us\":87500}]},"
	"\"listeners\":[{\"name\":\"web\",\"address\":\"2001:db8::1\",\"port\":\"80\","
	"\"protocol\":\"tcp\",\"forward\":[{\"group\":\"blue\",\"weight\":9},"
	"{\"group\":\"green\",\"weight\":1}],\"active\":3,\"in_bps\":1500,"
	"\"leaving\":[{\"target\":\"10.9.0.1:80\",\"drain_deadline\":\"2026-11-22T10:09:00Z\"}]}],"
	"\"groups\":[{\"name\":\"blue\",\"registered\":2,\"healthy\":0,\"fail_open\":true,"
	"\"in_use\":true,\"targets\":[{\"target\":\"10.0.1.10:8080\",\"state\":\"unhealthy\","
	"\"reason\":\"Target.Timeout\",\"detail\":\"connect timed out\",\"weight\":100,"
	"\"configured_weight\":100,\"fail_open\":true,\"since\":\"2026-11-22T10:00:00.500Z\"},"
	"{\"target\":\"10.0.1.11:8080\",\"origin\":\"register\",\"state\":\"draining\","
	"\"weight\":0,\"configured_weight\":7,\"drain_deadline\":\"2026-11-22T10:05:00Z\"}]}]}";

static void assert_shows(const char *page, const char *text)
{
	if (!strstr(page, text))
		fail_msg("\"%s\" is not in:\n%s", text, page);
}

/* Parser, manual page, help and completion have the same keys: the completion asks `ipvsd help keys`. */
static void test_help_knows_all_keys(void **state)
{
	_cleanup_free_ char *list = NULL, *completion = read_source("daemon/ipvsd.bash-completion");
	size_t size;
	FILE *f = open_memstream(&list, &size);

	(void)state;
	assert_non_null(f);
	cli_list_keys(f);
	assert_int_equal(fclose(f), 0);
	assert_shows(completion, "ipvsd help keys");
	for (unsigned s = 0; s < _KEY_SECTION_MAX; s++) {
		size_t n;
		const struct key *keys = keys_of((enum key_section)s, &n);

		for (size_t i = 0; i < n; i++) {
			_cleanup_free_ char *page = NULL;

			f = open_memstream(&page, &size);
			assert_non_null(f);
			assert_true(cli_help_key(keys[i].name, f));
			assert_int_equal(fclose(f), 0);
			assert_shows(page, key_sections[s].kind);
			assert_shows(page, keys[i].help);
			assert_shows(list, keys[i].name);
		}
	}
	assert_false(cli_help_key("no-such-key", stderr));
}

static void test_status(void **state)
{
	_cleanup_free_ char *page = render(status_json, 0), *narrow = render(status_json, 60),
			    *empty = render("{}", 0);

	(void)state;
	assert_shows(page, "ipvsd 0.1.0, up 1m05s, kernel plane\n");
	assert_shows(page, "\n! HEALTH WORKER DOWN");
	assert_shows(page, "\n! ALARM: late by ? 2 s\n");
	assert_shows(page, ", begun late by 0.1 ms (median), 2.5 ms (1 of 100), 87.6 ms in "
			   "network worker 1\n");
	assert_shows(page, "\n! THE CONFIGURATION ON DISK IS NOT IN EFFECT: line? 3\n");
	assert_shows(page, "\n! warning: no VIP\n");
	assert_shows(page, "tcp [2001:db8::1]:80  blue:9 green:1");
	assert_shows(page, "1.5kB/s");
	assert_shows(page, "\nweb: leaving 10.9.0.1:80, until its connections end, or 2026-11-22 "
			   "10:09:00 UTC\n");
	assert_shows(page, "TARGET GROUP blue: 0 of 2 healthy\n! FAIL OPEN: ");
	assert_shows(page, "unhealthy, fail open");
	assert_shows(page, "1m05s");
	assert_shows(page, "Target.Timeout (connect timed out)");
	assert_shows(page, "10.0.1.11:8080 +");
	assert_shows(page, "0 of 7");
	assert_shows(page, "drains until 2026-11-22 10:05:00 UTC");
	for (const char *line = narrow, *end; (end = strchr(line, '\n')); line = end + 1) {
		/* Tables fit; sentences may be longer. */
		if (!strncmp(line, "  10.0.1.1", 10) || !strncmp(line, "web ", 4))
			assert_true(end - line <= 60);
	}
	assert_shows(narrow, "unhealthy, fail open");
	assert_shows(empty, "no listeners");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manual_knows_all),
		cmocka_unit_test(test_completion_knows_all),
		cmocka_unit_test(test_help_knows_all_keys),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_suggest),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
