/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the file system can do to a configuration: each failure names its remedy, and nothing blocks. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/authorities.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "tests/temporary.h"

struct fixture {
	char directory[TEMPORARY_MAX];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	return temporary_make(f->directory);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r = temporary_remove(f->directory);

	free(f);
	return r;
}

static char *path_of(const struct fixture *f, const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", f->directory, name) > 0);
	return path;
}

static void write_file(const struct fixture *f, const char *name, const char *text)
{
	_cleanup_free_ char *path = path_of(f, name);
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* expected: the findings, with %s for the directory. NULL: none. */
static struct conf *load(const struct fixture *f, const char *name, int r, const char *expected)
{
	_cleanup_free_ char *path = path_of(f, name), *text = NULL, *wanted = strdup("");
	struct diag_list diags = { 0 };
	struct conf *conf = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (expected) {
		free(wanted);
		/* the format comes from the test's own tables */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		assert_true(asprintf(&wanted, expected, f->directory, f->directory) > 0);
#pragma GCC diagnostic pop
	}
	assert_int_equal(conf_load(path, &conf, &diags), r);
	diag_print(&diags, DIAG_NOTE, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, wanted);
	diag_list_deinit(&diags);
	return conf;
}

static void test_missing(void **state)
{
	assert_null(
		load(*state, "none.conf", -EINVAL,
		     "%s/none.conf: error: cannot read %s/none.conf: No such file or directory; "
		     "create it, or name another\n"));
}

static void test_directory(void **state)
{
	assert_null(load(*state, ".", -EINVAL,
			 "%s/.: error: cannot read %s/.: Is a directory; name a file in it\n"));
}

/* Opening a FIFO that nobody writes to would block for ever. */
static void test_fifo(void **state)
{
	_cleanup_free_ char *fifo = path_of(*state, "fifo");

	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_null(
		load(*state, "fifo", -EINVAL, "%s/fifo: error: %s/fifo is not a regular file\n"));
}

static void test_empty(void **state)
{
	struct conf *c;

	write_file(*state, "a.conf", "");
	c = load(*state, "a.conf", 0, NULL);
	assert_int_equal(c->n_listeners, 0);
	assert_string_equal(c->global.state_directory, "/var/lib/ipvsd");
	conf_free(c);
}

static void test_size_limit(void **state)
{
	static const struct {
		off_t size;
		int r;
	} cases[] = { { 16 << 20, 0 }, { (16 << 20) + 1, -EINVAL }, { 1LL << 40, -EINVAL } };
	_cleanup_free_ char *path = path_of(*state, "big.conf");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf *c = NULL;
		struct diag_list diags = { 0 };
		int r;

		write_file(*state, "big.conf", "");
		assert_int_equal(truncate(path, cases[i].size), 0);
		r = conf_load(path, &c, &diags);
		/* a file of NUL bytes is one bad line where it is read at all */
		assert_int_equal(r, -EINVAL);
		assert_int_equal(diags.n, 1);
		assert_non_null(strstr(diags.items[0].message, cases[i].r
								       ? "is larger than 16 MiB"
								       : "control character 0x00"));
		diag_list_deinit(&diags);
	}
}

static void test_conf_d_is_a_file(void **state)
{
	write_file(*state, "a.conf", "");
	write_file(*state, "conf.d", "");
	assert_null(load(*state, "a.conf", -EINVAL,
			 "%s/a.conf: error: cannot read %s/conf.d: Not a directory\n"));
}

/* A link in conf.d that leads nowhere is a configuration that is not there: not to be passed over in silence. */
static void test_dangling_link(void **state)
{
	_cleanup_free_ char *conf_d = path_of(*state, "conf.d");
	_cleanup_free_ char *link = path_of(*state, "conf.d/x.conf");

	write_file(*state, "a.conf", "");
	assert_int_equal(mkdir(conf_d, 0700), 0);
	assert_int_equal(symlink("nowhere", link), 0);
	assert_null(load(*state, "a.conf", -EINVAL,
			 "%s/conf.d/x.conf: error: cannot read %s/conf.d/x.conf: No such file or "
			 "directory; create it, or name another\n"));
}

static void test_targets_file(void **state)
{
	_cleanup_free_ char *expected = path_of(*state, "more");
	struct conf *c;

	write_file(*state, "more", "10.0.0.2:80 weight=3\n");
	write_file(*state, "a.conf",
		   "[listener l]\naddress = 192.0.2.1\nport = 80\nforward = g\n"
		   "[target-group g]\ntargets = 10.0.0.1:80\ntargets-file = more\n");
	c = load(*state, "a.conf", 0, NULL);
	assert_int_equal(c->groups[0].n_targets, 2);
	assert_int_equal(c->groups[0].targets[1].weight, 3);
	assert_string_equal(c->groups[0].targets[1].origin.path, expected);
	assert_string_equal(c->groups[0].targets_file, expected);
	assert_int_equal(c->n_paths, 2);
	conf_free(c);
}

/* A start beside a bad targets-file: all else is there, and where the file is. */
static void test_own(void **state)
{
	static const char *const bad[] = { NULL, "", "10.0.0.2:80\nnonsense:port\n",
					   "10.0.0.1:80\n" };
	_cleanup_free_ char *more = path_of(*state, "more"), *path = path_of(*state, "a.conf");

	write_file(*state, "a.conf",
		   "[listener l]\naddress = 192.0.2.1\nport = 80\nforward = g h\n"
		   "[target-group g]\ntargets = 10.0.0.1:80\ntargets-file = more\n"
		   "[target-group h]\ntargets-file = more\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct diag_list diags = { 0 };
		struct conf *c = NULL;

		if (bad[i])
			write_file(*state, "more", bad[i]);
		assert_int_equal(conf_load_own(path, &c, &diags), 0);
		assert_int_equal(diags.n, 0);
		assert_int_equal(c->groups[0].n_targets, 1);
		assert_int_equal(c->groups[1].n_targets, 0);
		assert_int_equal(c->groups[0].n_file_targets, 0);
		assert_string_equal(c->groups[0].targets_file, more);
		assert_string_equal(c->groups[1].targets_file, more);
		conf_free(c);
	}
	/* The daemon's own text is another matter. */
	write_file(*state, "a.conf", "[target-group g]\ntargets-file = more\ntypo = 1\n");
	assert_null(load(*state, "a.conf", -EINVAL,
			 "%s/a.conf:3: error: unknown key \"typo\" in [target-group]\n"));
}

#define GROUP(name, file)                                                                          \
	"[target-group " name "]\ntargets = 10.0.0.1:443\nhealth-check-protocol = tls\n"           \
	"health-check-verify-certificate = yes\nhealth-check-ca-file = " file "\n"

/* The least that has a certificate's outer form: 30 07 30 00 30 00 03 01 00. */
#define PEM "-----BEGIN CERTIFICATE-----\nMAcwADAAAwEA\n-----END CERTIFICATE-----\n"

/* A relative path and an absolute one; a file that two groups name is there once. */
static void test_ca_file(void **state)
{
	const struct fixture *f = *state;
	_cleanup_free_ char *text = NULL, *path = path_of(f, "one.pem");
	_cleanup_free_ char *main_path = path_of(f, "a.conf");
	struct diag_list diags = { 0 };
	struct conf *c;

	write_file(f, "one.pem", PEM);
	write_file(f, "two.pem", "A remark.\n" PEM PEM);
	assert_true(
		asprintf(&text,
			 "[listener l]\naddress = 192.0.2.1\nport = 443\nforward = a b c\n" GROUP(
				 "a", "one.pem") GROUP("b", "%s") GROUP("c", "two.pem"),
			 path) > 0);
	write_file(f, "a.conf", text);
	c = load(f, "a.conf", 0, NULL);
	assert_string_equal(c->groups[0].check.ca_file, path);
	assert_string_equal(c->groups[1].check.ca_file, path);
	assert_ptr_equal(c->groups[0].check.authorities, c->groups[1].check.authorities);
	assert_int_equal(c->groups[0].check.authorities->n, 1);
	assert_int_equal(c->groups[2].check.authorities->n, 2);
	assert_false(
		authorities_eq(c->groups[0].check.authorities, c->groups[2].check.authorities));
	conf_free(c);
	/* A start beside a bad one, and who wants a key alone: all else is there, and where the file is. */
	write_file(f, "one.pem", "");
	assert_int_equal(conf_load_own(main_path, &c, &diags), 0);
	assert_int_equal(diags.n, 0);
	assert_null(c->groups[0].check.authorities);
	assert_null(c->groups[2].check.authorities);
	assert_string_equal(c->groups[0].check.ca_file, path);
	assert_string_equal(c->groups[1].check.ca_file, path);
	conf_free(c);
}

/* Of a configuration that runs: each fault is told by the file's own lines. */
static void test_ca_file_alone(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *finding;
	} cases[] = {
		{ NULL, 0, ": No such file or directory; create it, or name another" },
		{ "", 0, "no certificate in it: PEM is expected, -----BEGIN CERTIFICATE-----" },
		{ PEM "-----BEGIN CERTIFICATE-----\nMAcw", 4,
		  "the certificate that begins here has no end" },
	};
	_cleanup_free_ char *path = path_of(*state, "one.pem");
	struct diag_list good = { 0 };
	struct authorities *a = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
		_cleanup_free_ char *expected = NULL;

		if (cases[i].text)
			write_file(*state, "one.pem", cases[i].text);
		assert_int_equal(load_authorities(path, &diags, &a), -EINVAL);
		assert_int_equal(diags.n_errors, 1);
		assert_string_equal(diags.items[0].path, path);
		assert_int_equal(diags.items[0].line, cases[i].line);
		assert_true(asprintf(&expected, "%s%s%s", cases[i].text ? "" : "cannot read ",
				     cases[i].text ? "" : path, cases[i].finding) > 0);
		assert_string_equal(diags.items[0].message, expected);
	}
	write_file(*state, "one.pem", PEM PEM);
	assert_int_equal(load_authorities(path, &good, &a), 0);
	assert_int_equal(a->n, 2);
	assert_int_equal(good.n, 0);
	authorities_unref(a);
}

static void test_ca_file_size(void **state)
{
	_cleanup_free_ char *path = path_of(*state, "big.pem");
	struct conf *c;

	write_file(*state, "big.pem", PEM);
	write_file(*state, "a.conf",
		   "[listener l]\naddress = 192.0.2.1\nport = 443\nforward = a\n" GROUP("a",
											"big.pem"));
	assert_int_equal(truncate(path, 1 << 20), 0);
	c = load(*state, "a.conf", 0, NULL);
	assert_int_equal(c->groups[0].check.authorities->size, 9);
	conf_free(c);
	assert_int_equal(truncate(path, (1 << 20) + 1), 0);
	assert_null(load(*state, "a.conf", -EINVAL,
			 "%s/a.conf:9: error: health-check-ca-file: %s/big.pem is larger than 1024 "
			 "KiB\n"));
}

#define loads(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		loads(test_missing),	   loads(test_directory),     loads(test_fifo),
		loads(test_empty),	   loads(test_size_limit),    loads(test_conf_d_is_a_file),
		loads(test_dangling_link), loads(test_targets_file),  loads(test_own),
		loads(test_ca_file),	   loads(test_ca_file_alone), loads(test_ca_file_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
