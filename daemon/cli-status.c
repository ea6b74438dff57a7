/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/cli-status.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/cli.h"

enum {
	STATUS_SECONDS = 15,
	WIDTH_MIN = 20,
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

static struct table_style style_of(int fd)
{
	struct table_style style = { 0 };
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;

	if (!isatty(fd))
		return style;
	style.colour = (!no_colour || !*no_colour) && (!term || strcmp(term, "dumb") != 0);
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= WIDTH_MIN)
		style.width = size.ws_col;
	return style;
}

static int show(const struct cli *cli, FILE *f)
{
	struct table_style style = style_of(STDOUT_FILENO);
	json_t *status = NULL;
	int ret = cli_ask(cli, "GET", "/v1/status", NULL, STATUS_SECONDS, &status);

	if (ret != CLI_OK)
		return ret;
	if (cli->json)
		ret = json_dumpf(status, f,
				 JSON_PRESERVE_ORDER |
					 (cli->watch_seconds ? JSON_COMPACT : JSON_INDENT(2))) < 0
			      ? CLI_FAILED
			      : CLI_OK;
	else
		cli_status_render(status, &style, clock_wall_usec(), f);
	if (cli->json)
		(void)fputc('\n', f);
	json_decref(status);
	return ret;
}

/* The page is made in memory and replaces the old one line by line: no flicker. */
static int redraw(const struct cli *cli)
{
	_cleanup_free_ char *page = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&page, &len);
	int ret;

	if (!f)
		return cli_fail(cli, "out of memory");
	ret = show(cli, f);
	if (fclose(f) == EOF)
		return cli_fail(cli, "out of memory");

	if (!isatty(STDOUT_FILENO) || cli->json) {
		(void)fwrite(page, 1, len, stdout);
	} else {
		(void)fputs("\033[H", stdout);
		for (char *line = page, *end; (end = strchr(line, '\n')); line = end + 1)
			(void)printf("%.*s\033[K\n", (int)(end - line), line);
		(void)fputs("\033[J", stdout);
	}
	return fflush(stdout) == EOF ? CLI_FAILED : ret;
}

/* A daemon that restarts is waited for: its absence is shown and asked again. */
static int watch(const struct cli *cli)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	bool screen = isatty(STDOUT_FILENO) && !cli->json;
	int ret;

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	if (screen)
		(void)fputs("\033[?1049h\033[?25l", stdout);
	do {
		ret = redraw(cli);
		if (ret != CLI_OK && !screen)
			break;
		/* Interrupted by the signal's arrival. */
		if (!interrupted)
			(void)sleep((unsigned)cli->watch_seconds);
	} while (!interrupted && !ferror(stdout));
	if (screen)
		(void)fputs("\033[?25h\033[?1049l", stdout);
	return interrupted ? CLI_OK : ret;
}

int cli_status(const struct cli *cli)
{
	return cli->watch_seconds ? watch(cli) : show(cli, stdout);
}
