/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/conf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/authorities.h"
#include "conf/keys.h"

static void strings_free(char **strings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(strings[i]);
	free(strings);
}

static void listener_deinit(struct conf_listener *l)
{
	free(l->forwards);
	strings_free(l->security_group_names, l->n_security_groups);
	free(l->security_groups);
}

static void group_deinit(struct conf_group *g)
{
	for (size_t i = 0; i < g->n_targets; i++)
		free(g->targets[i].host);
	free(g->targets);
	free(g->targets_file);
	free(g->discovery);
	free(g->check.path);
	free(g->check.host_header);
	free(g->check.http_version);
	free(g->check.send);
	free(g->check.expect);
	free(g->check.server_name);
	free(g->check.command);
	free(g->check.ca_file);
	authorities_unref(g->check.authorities);
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	free(c->global.control_socket);
	free(c->global.state_directory);
	free(c->global.health_user);
	free(c->global.exec_user);
	free(c->global.metrics_listen);
	strings_free(c->global.dns_servers, c->global.n_dns_servers);
	for (size_t i = 0; i < c->n_listeners; i++)
		listener_deinit(&c->listeners[i]);
	free(c->listeners);
	for (size_t i = 0; i < c->n_groups; i++)
		group_deinit(&c->groups[i]);
	free(c->groups);
	for (size_t i = 0; i < c->n_security_groups; i++) {
		free(c->security_groups[i].ingress);
		free(c->security_groups[i].egress);
	}
	free(c->security_groups);
	strings_free(c->fastpath.ports, c->fastpath.n_ports);
	free(c->fastpath.lcores);
	free(c->fastpath.program);
	free(c->fastpath.nat_pools);
	strings_free(c->paths, c->n_paths);
	free(c);
}

const struct conf_group *conf_find_group(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_groups; i++)
		if (strcmp(c->groups[i].name, name) == 0)
			return &c->groups[i];
	return NULL;
}

const struct conf_listener *conf_find_listener(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_listeners; i++)
		if (strcmp(c->listeners[i].name, name) == 0)
			return &c->listeners[i];
	return NULL;
}

/* The key table's choices are the one table of these names. */
static const char *choice_name(const struct key_choice *choices, uint32_t value)
{
	for (; choices->name; choices++)
		if (choices->value == value)
			return choices->name;
	assert(!"an enum value without a name");
	return NULL;
}

const char *conf_group_dns_name(const struct conf_group *g)
{
	return g->discovery ? g->discovery + strlen(CONF_DISCOVERY_DNS) : NULL;
}

bool conf_name_is_service(const char *name)
{
	return name[0] == '_';
}

const char *conf_protocol_to_string(enum conf_protocol p)
{
	return choice_name(key_protocols, p);
}

const char *conf_forwarding_to_string(enum conf_forwarding f)
{
	return choice_name(key_forwardings, f);
}

bool conf_check_has_port(enum conf_check check)
{
	return check != CONF_CHECK_NONE && check != CONF_CHECK_ICMP && check != CONF_CHECK_EXEC;
}

bool conf_check_verifies(const struct conf_health_check *c)
{
	bool tls = c->protocol == CONF_CHECK_HTTPS || c->protocol == CONF_CHECK_TLS ||
		   (c->protocol == CONF_CHECK_GRPC && c->tls);

	return tls && c->verify_certificate;
}

bool conf_forwarding_is_tunnel(enum conf_forwarding f)
{
	return f == CONF_FORWARDING_IPIP || f == CONF_FORWARDING_GUE || f == CONF_FORWARDING_GRE;
}

bool conf_forwarding_translates_ports(enum conf_forwarding f)
{
	return f == CONF_FORWARDING_NAT || f == CONF_FORWARDING_FULL_NAT;
}

uint16_t conf_listener_single_port(const struct conf_listener *l)
{
	return !l->firewall_mark && l->ports.low == l->ports.high ? l->ports.low : 0;
}

bool conf_listener_forwards_to(const struct conf_listener *l, size_t group)
{
	for (size_t i = 0; i < l->n_forwards; i++)
		if (l->forwards[i].group == group)
			return true;
	return false;
}

uint16_t conf_group_listener_port(const struct conf *c, size_t group)
{
	uint16_t found = 0;

	for (size_t i = 0; i < c->n_listeners; i++) {
		uint16_t port = conf_listener_single_port(&c->listeners[i]);

		if (!conf_listener_forwards_to(&c->listeners[i], group))
			continue;
		if (!port || (found && port != found))
			return 0;
		found = port;
	}
	return found;
}

const char *conf_check_to_string(enum conf_check c)
{
	return choice_name(key_checks, c);
}

const char *conf_stop_to_string(enum conf_stop s)
{
	return choice_name(key_stops, s);
}
