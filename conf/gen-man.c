/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * gen-man TEMPLATE: the manual page with the key table in it, on standard output. In the template a line
 * "@keys KIND@" stands for the keys of [KIND].
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/assign.h"
#include "conf/keys.h"

/* mdoc(7): backslashes are escapes, a hyphen-minus needs one, and a dot or quote at the start of a line is a request. */
static void put_text(const char *text, bool literal)
{
	if (*text == '.' || *text == '\'')
		(void)fputs("\\&", stdout);
	for (; *text; text++) {
		if (*text == '\\')
			(void)fputs("\\e", stdout);
		else if (*text == '-' && literal)
			(void)fputs("\\-", stdout);
		else
			(void)putchar(*text);
	}
}

/* A new sentence begins a new line, as mdoc wants it. */
static void put_sentences(const char *text)
{
	const char *end;

	while ((end = strstr(text, ". "))) {
		(void)printf("%.*s\n", (int)(end + 1 - text), text);
		text = end + 2;
	}
	(void)printf("%s\n", text);
}

static void put_key(const struct key *key)
{
	char accepted[512];

	(void)fputs(".It Cm ", stdout);
	put_text(key->name, true);
	(void)putchar('\n');
	put_sentences(key->help);
	assign_describe(key, accepted, sizeof(accepted));
	(void)fputs("Accepted: ", stdout);
	put_text(accepted, true);
	if (key->unit)
		(void)printf(" %s", key->unit);
	if (key->fallback) {
		(void)fputs("; default: ", stdout);
		put_text(key->fallback, true);
	}
	(void)fputs(".\n", stdout);
	if (key->later)
		(void)printf("No effect in this version: it comes with %s.\n", key->later);
}

static bool put_keys(const char *kind)
{
	for (size_t s = 0; s < _KEY_SECTION_MAX; s++) {
		const struct key *keys;
		size_t n;

		if (strcmp(key_sections[s].kind, kind) != 0)
			continue;
		put_sentences(key_sections[s].help);
		(void)fputs(".Bl -tag -width 4n\n", stdout);
		keys = keys_of((enum key_section)s, &n);
		for (size_t i = 0; i < n; i++)
			put_key(&keys[i]);
		(void)fputs(".El\n", stdout);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	_cleanup_fclose_ FILE *template = argc == 2 ? fopen(argv[1], "re") : NULL;
	char line[512], *kind, *end;

	if (!template) {
		(void)fprintf(stderr, "usage: gen-man TEMPLATE\n");
		return 1;
	}
	while (fgets(line, sizeof(line), template)) {
		kind = strncmp(line, "@keys ", 6) == 0 ? line + 6 : NULL;
		end = kind ? strchr(kind, '@') : NULL;
		if (!end) {
			(void)fputs(line, stdout);
			continue;
		}
		*end = '\0';
		if (!put_keys(kind)) {
			(void)fprintf(stderr, "gen-man: no section kind \"%s\"\n", kind);
			return 1;
		}
	}
	return ferror(template) || fflush(stdout) == EOF;
}
