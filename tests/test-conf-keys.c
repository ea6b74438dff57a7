/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The key table against what must agree with it: the structs, its own defaults, the manual page. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/assign.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/keys.h"

struct span {
	size_t offset, size;
};

#define SPAN(type, member)                                                                         \
	{                                                                                          \
		offsetof(type, member), sizeof(((type *)0)->member)                                \
	}

/* Members that no key sets: names and places of sections, and what validation works out. */
static const struct span listener_derived[] = { SPAN(struct conf_listener, name),
						SPAN(struct conf_listener, origin),
						SPAN(struct conf_listener, security_groups) };
static const struct span group_derived[] = { SPAN(struct conf_group, name),
					     SPAN(struct conf_group, origin),
					     SPAN(struct conf_group, n_file_targets),
					     SPAN(struct conf_group, check.authorities),
					     SPAN(struct conf_group, in_use) };
static const struct span security_derived[] = { SPAN(struct conf_security_group, name),
						SPAN(struct conf_security_group, origin) };
static const struct span fastpath_derived[] = { SPAN(struct conf_fastpath, origin) };

static const struct {
	const struct span *spans;
	size_t n;
} derived[_KEY_SECTION_MAX] = {
	[KEY_SECTION_LISTENER] = { listener_derived, ARRAY_SIZE(listener_derived) },
	[KEY_SECTION_GROUP] = { group_derived, ARRAY_SIZE(group_derived) },
	[KEY_SECTION_SECURITY_GROUP] = { security_derived, ARRAY_SIZE(security_derived) },
	[KEY_SECTION_FASTPATH] = { fastpath_derived, ARRAY_SIZE(fastpath_derived) },
};

static void claim(unsigned char *bytes, size_t limit, size_t offset, size_t size, const char *who)
{
	assert_true(size > 0 && offset + size <= limit);
	for (size_t i = offset; i < offset + size; i++) {
		if (bytes[i])
			fail_msg("%s: byte %zu is claimed twice", who, i);
		bytes[i] = 1;
	}
}

/* Bytes that belong to some member are 0xff in *bytes, padding is 0. False: this compiler cannot tell. */
static bool members_of(enum key_section s, unsigned char *bytes)
{
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define CLEAR(type)                                                                                \
	do {                                                                                       \
		type object;                                                                       \
                                                                                                   \
		memset(&object, 0xff, sizeof(object));                                             \
		__builtin_clear_padding(&object);                                                  \
		memcpy(bytes, &object, sizeof(object));                                            \
	} while (0)

	switch (s) {
	case KEY_SECTION_GLOBAL:
		CLEAR(struct conf_global);
		break;
	case KEY_SECTION_LISTENER:
		CLEAR(struct conf_listener);
		break;
	case KEY_SECTION_GROUP:
		CLEAR(struct conf_group);
		break;
	case KEY_SECTION_SECURITY_GROUP:
		CLEAR(struct conf_security_group);
		break;
	default:
		CLEAR(struct conf_fastpath);
	}
	return true;
#undef CLEAR
#endif
#endif
	(void)s;
	(void)bytes;
	return false;
}

static void test_every_member_has_one_key(void **state)
{
	(void)state;
	for (enum key_section s = 0; s < _KEY_SECTION_MAX; s++) {
		size_t size = key_sections[s].size, n;
		const struct key *keys = keys_of(s, &n);
		_cleanup_free_ unsigned char *claimed = calloc(1, size);
		_cleanup_free_ unsigned char *members = calloc(1, size);

		for (size_t i = 0; i < n; i++) {
			claim(claimed, size, keys[i].offset, keys[i].size, keys[i].name);
			if (key_is_list(&keys[i]))
				claim(claimed, size, keys[i].count_offset, sizeof(size_t),
				      keys[i].name);
		}
		for (size_t i = 0; i < derived[s].n; i++)
			claim(claimed, size, derived[s].spans[i].offset, derived[s].spans[i].size,
			      "derived");
		if (!members_of(s, members))
			continue;
		for (size_t i = 0; i < size; i++)
			if (members[i] && !claimed[i])
				fail_msg("[%s]: no key sets byte %zu", key_sections[s].kind, i);
	}
}

static void test_defaults_parse(void **state)
{
	(void)state;
	for (enum key_section s = 0; s < _KEY_SECTION_MAX; s++) {
		size_t n;
		const struct key *keys = keys_of(s, &n);

		assert_true(n > 0 && n <= KEY_SECTION_KEYS_MAX);
		for (size_t i = 0; i < n; i++) {
			_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
			struct assign_place at = { &diags, "default", 0, &keys[i] };
			_cleanup_free_ char *object = calloc(1, key_sections[s].size);
			char *text, value[64];

			assert_ptr_equal(key_find(s, keys[i].name), &keys[i]);
			assert_int_equal(key_index(&keys[i]), i);
			assert_int_equal(keys[i].section, s);
			assert_non_null(keys[i].help);
			if (!keys[i].fallback)
				continue;
			strcpy(value, keys[i].fallback);
			assert_int_equal(assign_scalar(&at, object, value), 0);
			assert_int_equal(diags.n, 0);
			memcpy(&text, object + keys[i].offset, MIN(sizeof(text), keys[i].size));
			if (keys[i].type == KEY_TEXT || keys[i].type == KEY_FILE ||
			    keys[i].type == KEY_URL_PATH || keys[i].type == KEY_CHOICE_TEXT)
				free(text);
		}
	}
}

static void test_man_page_has_every_key(void **state)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *page = calloc(1, 1 << 17);
	size_t len;

	(void)state;
	assert_non_null(getenv("IPVSD_BUILD"));
	assert_true(asprintf(&path, "%s/conf/ipvsd.conf.5", getenv("IPVSD_BUILD")) > 0);
	f = fopen(path, "re");
	assert_non_null(f);
	len = fread(page, 1, (1 << 17) - 1, f);
	assert_in_range(len, 1, (1 << 17) - 2);
	for (enum key_section s = 0; s < _KEY_SECTION_MAX; s++) {
		_cleanup_free_ char *header = NULL;
		const char *section, *end;
		size_t n;
		const struct key *keys = keys_of(s, &n);

		assert_true(asprintf(&header, "\n.Sh SECTION [%s%s]\n", key_sections[s].kind,
				     key_sections[s].named ? " NAME" : "") > 0);
		section = strstr(page, header);
		assert_non_null(section);
		end = strstr(section + strlen(header), "\n.Sh ");
		assert_non_null(end);
		for (size_t i = 0; i < n; i++) {
			char item[160] = "\n.It Cm ", *out = item + strlen(item);
			const char *found;

			for (const char *in = keys[i].name; *in; in++) {
				if (*in == '-')
					*out++ = '\\';
				*out++ = *in;
			}
			strcpy(out, "\n");
			found = strstr(section, item);
			if (!found || found > end)
				fail_msg("[%s] %s is not in the manual page", key_sections[s].kind,
					 keys[i].name);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_member_has_one_key),
		cmocka_unit_test(test_defaults_parse),
		cmocka_unit_test(test_man_page_has_every_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
