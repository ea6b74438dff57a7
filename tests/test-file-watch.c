/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Every way in which a file's content can become another, on a real file system, in a real loop. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/file-watch.h"
#include "tests/temporary.h"

#define LIMIT_USEC (10 * USEC_PER_SEC)
enum {
	EVENTS_KEPT = 16384, /* fs.inotify.max_queued_events, unless somebody has changed it */
};

#define QUIET_USEC (60 * USEC_PER_MSEC) /* three times what a change takes to be told */

struct fixture {
	char directory[TEMPORARY_MAX];
	sd_event *event;
	struct file_watch *watch;
	char seen[256]; /* what the file held when the last change was told */
	unsigned n;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (temporary_make(f->directory) < 0 || sd_event_new(&f->event) < 0)
		return -1;
	return chdir(f->directory);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r = chdir("/");

	file_watch_free(f->watch);
	sd_event_unref(f->event);
	r |= temporary_remove(f->directory);
	free(f);
	return r;
}

/* Contents stand for files; nothing is "-". */
static void read_content(const char *path, char buf[static 256])
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, 255);

	if (n < 0)
		strcpy(buf, "-");
	else
		buf[n] = '\0';
}

static void on_change(struct file_watch *w, void *userdata)
{
	struct fixture *f = userdata;

	(void)w;
	read_content("way/file", f->seen);
	f->n++;
}

static void begin(struct fixture *f)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/way/file", f->directory);
	assert_int_equal(file_watch_new(f->event, path, on_change, f, &f->watch), 0);
}

static void write_whole(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void replace(const char *path, const char *text)
{
	write_whole("fresh", text);
	assert_int_equal(rename("fresh", path), 0);
}

/* Runs the loop until the file is told to hold this. */
static void expect(struct fixture *f, const char *content)
{
	usec_t end = clock_monotonic_usec() + LIMIT_USEC;

	while (!f->n || strcmp(f->seen, content) != 0) {
		usec_t now = clock_monotonic_usec();

		if (now >= end)
			fail_msg("expected \"%s\", told \"%s\" in %u changes", content, f->seen,
				 f->n);
		assert_true(sd_event_run(f->event, end - now) >= 0);
	}
	f->n = 0;
}

/* Nothing is told while this time passes. */
static void expect_nothing(struct fixture *f)
{
	usec_t end = clock_monotonic_usec() + QUIET_USEC, now;

	f->n = 0;
	while ((now = clock_monotonic_usec()) < end)
		assert_true(sd_event_run(f->event, end - now) >= 0);
	assert_int_equal(f->n, 0);
}

/* In place, by a writer that has not closed it yet. */
static int begin_writing(struct fixture *f, const char *bytes)
{
	int fd = open("way/file", O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
	expect_nothing(f);
	return fd;
}

static void test_rename(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("way/file", "one");
	begin(f);
	replace("way/file", "two");
	expect(f, "two");
	replace("way/file", "three");
	replace("way/file", "four");
	expect(f, "four");
	write_whole("way/other", "not asked for");
	expect_nothing(f);
}

static void test_check_soon(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("way/file", "one");
	begin(f);
	expect_nothing(f);
	file_watch_check_soon(f->watch);
	expect(f, "one");
}

/* Half of a file is not told, however long its writer takes. */
static void test_in_place(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("way/file", "one");
	begin(f);
	fd = begin_writing(f, "tw");
	assert_true(file_watch_is_being_written(f->watch));
	assert_int_equal(write(fd, "o", 1), 1);
	expect_nothing(f);
	assert_int_equal(close(fd), 0);
	expect(f, "two");
	assert_false(file_watch_is_being_written(f->watch));
}

/* As editors do it: the old one away, a new one under its name. */
static void test_new_file_in_pieces(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("way/file", "one");
	begin(f);
	assert_int_equal(rename("way/file", "way/file~"), 0);
	fd = open("way/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "tw", 2), 2);
	expect_nothing(f);
	assert_int_equal(write(fd, "o", 1), 1);
	assert_int_equal(close(fd), 0);
	expect(f, "two");
}

/* A writer that gave up, and another that replaces the file as a whole. */
static void test_rename_over_a_writer(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("way/file", "one");
	begin(f);
	fd = begin_writing(f, "tw");
	replace("way/file", "three");
	expect(f, "three");
	assert_int_equal(close(fd), 0);
}

/* A writer that is cut off from the name by its directory's, or a link's, end says nothing any more. */
static void test_directory_over_a_writer(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("way/file", "one");
	assert_int_equal(mkdir("fresh", 0700), 0);
	write_whole("fresh/file", "three");
	begin(f);
	fd = begin_writing(f, "tw");
	assert_int_equal(rename("way", "old"), 0);
	assert_int_equal(rename("fresh", "way"), 0);
	expect(f, "three");
	assert_false(file_watch_is_being_written(f->watch));
	assert_int_equal(close(fd), 0);

	/* What changes on the way, and is not the file, lets the writer go on. */
	fd = begin_writing(f, "fo");
	assert_int_equal(chmod("way", 0755), 0);
	expect_nothing(f);
	assert_int_equal(write(fd, "ur", 2), 2);
	assert_int_equal(close(fd), 0);
	expect(f, "four");
}

/* A loop that comes late finds what it has to look at anew, and that the writer has closed the file, at once. */
static void test_late_loop_over_a_writer(void **state)
{
	static const char *const contents[] = { "two", "six", "ten" };
	struct fixture *f = *state;

	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("way/file", "one");
	begin(f);
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		int fd;

		assert_int_equal(rename("way/file", "way/file~"), 0);
		fd = open("way/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_int_equal(write(fd, contents[i], 2), 2);
		while (!file_watch_is_being_written(f->watch))
			assert_true(sd_event_run(f->event, LIMIT_USEC) > 0);
		for (usec_t end = clock_monotonic_usec() + QUIET_USEC;
		     clock_monotonic_usec() < end;)
			;
		assert_int_equal(write(fd, contents[i] + 2, 1), 1);
		assert_int_equal(close(fd), 0);
		expect(f, contents[i]);
	}
}

/* More events than the kernel keeps: that the writer has closed the file is not told. */
static void test_flood_over_a_writer(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("way/file", "one");
	begin(f);
	fd = begin_writing(f, "two");
	/* In turn, as equal ones are merged; and opened only, which costs no disk any time. */
	write_whole("way/other", "");
	write_whole("way/another", "");
	for (unsigned i = 0; i <= EVENTS_KEPT; i++) {
		int other = open(i % 2 ? "way/another" : "way/other", O_WRONLY | O_CLOEXEC);

		assert_return_code(other, errno);
		assert_int_equal(close(other), 0);
	}
	assert_int_equal(close(fd), 0);
	expect(f, "two");
	assert_false(file_watch_is_being_written(f->watch));
}

static void test_links(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("a", "A");
	write_whole("b", "B");
	assert_int_equal(symlink("../a", "way/file"), 0);
	begin(f);
	/* The link's target in place, then the link itself. */
	write_whole("a", "AA");
	expect(f, "AA");
	assert_int_equal(symlink("../b", "way/fresh"), 0);
	assert_int_equal(rename("way/fresh", "way/file"), 0);
	expect(f, "B");
	write_whole("b", "BB");
	expect(f, "BB");
	write_whole("a", "AAA");
	expect_nothing(f);
	/* Removed and made anew, as a symbolic and as a hard link. */
	assert_int_equal(unlink("way/file"), 0);
	expect(f, "-");
	assert_int_equal(symlink("../a", "way/file"), 0);
	expect(f, "AAA");
	assert_int_equal(unlink("way/file"), 0);
	expect(f, "-");
	assert_int_equal(link("b", "way/file"), 0);
	expect(f, "BB");
}

/* way/file -> ..data/file, ..data -> ..1; each update is a new directory and an exchanged ..data. */
static void test_kubernetes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir("way", 0700), 0);
	assert_int_equal(mkdir("way/..1", 0700), 0);
	write_whole("way/..1/file", "one");
	assert_int_equal(symlink("..1", "way/..data"), 0);
	assert_int_equal(symlink("..data/file", "way/file"), 0);
	begin(f);
	for (unsigned i = 2; i < 6; i++) {
		char directory[32], file[64], old[32], old_file[64];

		(void)snprintf(directory, sizeof(directory), "way/..%u", i);
		(void)snprintf(file, sizeof(file), "way/..%u/file", i);
		(void)snprintf(old, sizeof(old), "way/..%u", i - 1);
		(void)snprintf(old_file, sizeof(old_file), "way/..%u/file", i - 1);
		assert_int_equal(mkdir(directory, 0700), 0);
		write_whole(file, file);
		assert_int_equal(symlink(directory + 4, "way/..data_tmp"), 0);
		assert_int_equal(rename("way/..data_tmp", "way/..data"), 0);
		assert_int_equal(unlink(old_file), 0);
		assert_int_equal(rmdir(old), 0);
		expect(f, file);
	}
}

static void test_directories(void **state)
{
	struct fixture *f = *state;

	/* Neither file nor directory is there yet. */
	begin(f);
	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("way/file", "one");
	expect(f, "one");
	assert_int_equal(unlink("way/file"), 0);
	expect(f, "-");
	assert_int_equal(rmdir("way"), 0);
	assert_int_equal(mkdir("elsewhere", 0700), 0);
	write_whole("elsewhere/file", "two");
	assert_int_equal(rename("elsewhere", "way"), 0);
	expect(f, "two");
	assert_int_equal(rename("way", "elsewhere"), 0);
	expect(f, "-");
	assert_int_equal(symlink("elsewhere", "way"), 0);
	expect(f, "two");
	write_whole("elsewhere/file", "three");
	expect(f, "three");
}

static void test_loop_of_links(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir("way", 0700), 0);
	assert_int_equal(symlink("file", "way/file"), 0);
	begin(f);
	assert_int_equal(unlink("way/file"), 0);
	write_whole("way/file", "one");
	expect(f, "one");
}

static void test_unreadable_then_readable(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir("way", 0700), 0);
	write_whole("way/file", "one");
	assert_int_equal(chmod("way/file", 0), 0);
	begin(f);
	assert_int_equal(chmod("way/file", 0600), 0);
	expect(f, "one");
}

#define watches(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		watches(test_rename),
		watches(test_check_soon),
		watches(test_in_place),
		watches(test_new_file_in_pieces),
		watches(test_rename_over_a_writer),
		watches(test_directory_over_a_writer),
		watches(test_late_loop_over_a_writer),
		watches(test_flood_over_a_writer),
		watches(test_links),
		watches(test_kubernetes),
		watches(test_directories),
		watches(test_loop_of_links),
		watches(test_unreadable_then_readable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
