/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What validate() applies: rules within one listener, within one target group, and between them. All report to
 * p->diags. Pure.
 */

#include <stddef.h>

struct conf;
struct conf_group;
struct conf_listener;
struct diag_list;
struct parse;
struct parse_section;

/* Also completes the listener: family, VIP interface and prefix length. */
void validate_listener(struct parse *p, const struct parse_section *s);

/* Also completes the group: defaults that depend on other keys. -ENOMEM. */
int validate_group(struct parse *p, const struct parse_section *s);

/* Slow start, connection termination and zones of a group; switches off what its algorithm cannot do. */
void validate_life(struct parse *p, const struct parse_section *s);

/* Zones in [ipvsd]. */
void validate_zones(struct parse *p, const struct parse_section *s);

/* Targets against each other, and their number. Also what a targets-file is checked by at run time. -ENOMEM. */
int validate_targets(struct diag_list *diags, const struct conf_group *g);

/* Those with a port and those without, which have the listeners'. After validate_targets(); also at run time. -ENOMEM. */
int validate_listener_ports(struct diag_list *diags, const struct conf *c, size_t group,
			    const struct conf_group *g);

/* Ports of targets that this listener's packets would not reach. */
void validate_target_ports(struct diag_list *diags, const struct conf_listener *l,
			   const struct conf_group *g);

/*
 * The targets of a group behind a listener, whose `forward` stands in this line: families and ports. Also what a
 * targets-file is checked by at run time.
 */
void validate_forwarded_targets(struct diag_list *diags, const struct conf_listener *l,
				const struct conf_group *g, unsigned line);

/* dns-* keys, and the name that a group's discovery looks up. */
void validate_dns(const struct parse *p, const struct parse_section *s);
void validate_discovery(const struct parse *p, const struct parse_section *s);

/* Listeners against the groups behind them, and groups that nothing uses. Marks groups as in use. -ENOMEM. */
int validate_forwards(struct parse *p);

/* Two listeners for the same packets. -ENOMEM. */
int validate_overlaps(struct parse *p);
