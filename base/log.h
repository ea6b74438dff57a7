/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Log lines with structured fields. Under systemd (JOURNAL_STREAM set) a line goes to the journal with its fields
 * and its source place; elsewhere to standard error as "<level>: message". Used by the daemon, the worker's main
 * and the commands only: pure and netlink code return errors.
 *
 * Levels: err = the operator must act; warning = degraded; notice = a transition; info; debug.
 */

#include <stddef.h>
#include <syslog.h>

enum {
	LOG_FIELDS_MAX = 8,
};

/* One structured field; name in upper case (journal rule), e.g. { "IPVSD_GROUP", "blue" }. */
struct log_field {
	const char *name;
	const char *value;
};

/* Reads the environment once; lines above max_level (LOG_ERR … LOG_DEBUG) are dropped. */
void log_init(int max_level);
void log_set_level(int max_level);

/* fields: up to LOG_FIELDS_MAX; NULL when n_fields is 0. */
void log_write(int level, const char *file, int line, const char *func,
	       const struct log_field *fields, size_t n_fields, const char *format, ...)
	__attribute__((format(printf, 7, 8)));

#define log_full(level, fields, n, ...)                                                            \
	log_write((level), __FILE__, __LINE__, __func__, (fields), (n), __VA_ARGS__)
#define log_err(...) log_full(LOG_ERR, NULL, 0, __VA_ARGS__)
#define log_warning(...) log_full(LOG_WARNING, NULL, 0, __VA_ARGS__)
#define log_notice(...) log_full(LOG_NOTICE, NULL, 0, __VA_ARGS__)
#define log_info(...) log_full(LOG_INFO, NULL, 0, __VA_ARGS__)
#define log_debug(...) log_full(LOG_DEBUG, NULL, 0, __VA_ARGS__)
