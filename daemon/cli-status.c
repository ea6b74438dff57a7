/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/cli-status.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/cli.h"

enum {
	STATUS_SECONDS = 15,
	WIDTH_MIN = 20,
};

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

/* In place of the old page, line by line: no flicker. What the screen cannot hold is left out. */
static void replace_page(char *page)
{
	struct winsize size;
	unsigned rows = UINT_MAX;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1)
		rows = size.ws_row - 1U;
	(void)fputs("\033[H", stdout);
	for (char *line = page, *end; rows > 0 && (end = strchr(line, '\n'));
	     line = end + 1, rows--)
		(void)printf("%.*s\033[K\n", (int)(end - line), line);
	(void)fputs("\033[J", stdout);
}

static int redraw(const struct cli *cli, bool screen)
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
	if (screen && ret == CLI_OK)
		replace_page(page);
	else
		(void)fwrite(page, 1, len, stdout);
	return fflush(stdout) == EOF ? CLI_FAILED : ret;
}

/* A daemon that restarts is waited for: its absence is shown and asked again. */
static int watch(const struct cli *cli)
{
	struct timespec pause = { .tv_sec = cli->watch_seconds };
	bool screen = isatty(STDOUT_FILENO) && !cli->json;
	bool stopped = false;
	sigset_t stop;
	int ret;

	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGINT);
	(void)sigaddset(&stop, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &stop, NULL);
	/* The other screen, no cursor, no wrapping of long lines. */
	if (screen)
		(void)fputs("\033[?1049h\033[?25l\033[?7l", stdout);
	do {
		ret = redraw(cli, screen);
		if (ret != CLI_OK && !screen)
			break;
		stopped = sigtimedwait(&stop, NULL, &pause) > 0;
	} while (!stopped && !ferror(stdout));
	if (screen)
		(void)fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	return stopped ? CLI_OK : ret;
}

int cli_status(const struct cli *cli)
{
	return cli->watch_seconds ? watch(cli) : show(cli, stdout);
}
