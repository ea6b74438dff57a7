/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A command line as words, without a shell: blanks part words; 'text' is taken as it is; in "text" and outside of
 * quotes a backslash takes the next character as it is. Nothing is expanded. Pure.
 */

enum {
	COMMAND_WORDS_MAX = 64,
};

/*
 * Splits text in place. argv: NULL-terminated, borrowed from text. The number of words; 0 for none; -EINVAL for a
 * quote without its end or a backslash before nothing; -E2BIG.
 */
int command_split(char *text, char *argv[static COMMAND_WORDS_MAX + 1]);
