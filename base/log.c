/* SPDX-License-Identifier: GPL-2.0-or-later */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "base/cleanup.h"

enum {
	MESSAGE_MAX_BYTES = 2048,
	FIXED_FIELDS = 5, /* MESSAGE, PRIORITY, CODE_FILE, CODE_LINE, CODE_FUNC */
};

static int log_max_level = LOG_INFO;
static bool log_to_journal;

void log_init(int max_level)
{
	log_max_level = max_level;
	log_to_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(int max_level)
{
	log_max_level = max_level;
}

static void write_stderr(int level, const char *message)
{
	static const char *const names[] = {
		[LOG_ERR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
		[LOG_INFO] = "info", [LOG_DEBUG] = "debug",
	};

	(void)fprintf(stderr, "ipvsd: %s: %s\n",
		      level < (int)ARRAY_SIZE(names) && names[level] ? names[level] : "error",
		      message);
}

static int write_journal(int level, const char *file, int line, const char *func,
			 const struct log_field *fields, size_t n_fields, const char *message)
{
	struct iovec iov[FIXED_FIELDS + LOG_FIELDS_MAX];
	char *texts[FIXED_FIELDS + LOG_FIELDS_MAX] = { 0 };
	size_t n = 0;
	int r = 0;

	if (asprintf(&texts[n], "MESSAGE=%s", message) >= 0)
		n++;
	if (asprintf(&texts[n], "PRIORITY=%d", level) >= 0)
		n++;
	if (asprintf(&texts[n], "CODE_FILE=%s", file) >= 0)
		n++;
	if (asprintf(&texts[n], "CODE_LINE=%d", line) >= 0)
		n++;
	if (asprintf(&texts[n], "CODE_FUNC=%s", func) >= 0)
		n++;
	for (size_t i = 0; i < n_fields && i < LOG_FIELDS_MAX; i++)
		if (asprintf(&texts[n], "%s=%s", fields[i].name, fields[i].value) >= 0)
			n++;
	for (size_t i = 0; i < n; i++)
		iov[i] = (struct iovec){ texts[i], strlen(texts[i]) };
	r = sd_journal_sendv(iov, (int)n);
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	return r;
}

void log_write(int level, const char *file, int line, const char *func,
	       const struct log_field *fields, size_t n_fields, const char *format, ...)
{
	char message[MESSAGE_MAX_BYTES];
	int saved_errno = errno;
	va_list ap;

	if (level > log_max_level)
		return;
	va_start(ap, format);
	(void)vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	if (!log_to_journal ||
	    write_journal(level, file, line, func, fields, n_fields, message) < 0)
		write_stderr(level, message);
	errno = saved_errno;
}
