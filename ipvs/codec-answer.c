/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/codec-message.h"

#include <netlink/msg.h>

int codec_error_reply(void *buf, size_t size, const struct nlmsghdr *request, int error)
{
	struct message m = { .start = buf, .at = buf, .end = (uint8_t *)buf + size };
	const struct {
		struct nlmsghdr nlmsg;
		struct nlmsgerr error;
	} answer = {
		.nlmsg = { .nlmsg_type = NLMSG_ERROR,
			   .nlmsg_flags = NLM_F_CAPPED,
			   .nlmsg_seq = request->nlmsg_seq,
			   .nlmsg_pid = request->nlmsg_pid },
		.error = { .error = error, .msg = *request },
	};

	message_put_bytes(&m, &answer, sizeof(answer));
	return message_end(&m);
}

int codec_done_reply(void *buf, size_t size, const struct codec_header *h, int error)
{
	struct message m = { .start = buf, .at = buf, .end = (uint8_t *)buf + size };
	const struct {
		struct nlmsghdr nlmsg;
		int error;
	} answer = {
		.nlmsg = { .nlmsg_type = NLMSG_DONE,
			   .nlmsg_flags = NLM_F_MULTI | h->flags,
			   .nlmsg_seq = h->seq },
		.error = error,
	};

	message_put_bytes(&m, &answer, sizeof(answer));
	return message_end(&m);
}

int codec_parse_family_request(const struct nlmsghdr *nlh)
{
	static const struct nla_policy policy[CTRL_ATTR_MAX + 1] = {
		[CTRL_ATTR_FAMILY_NAME] = CODEC_STRING(GENL_NAMSIZ),
	};
	struct nlattr *tb[CTRL_ATTR_MAX + 1];
	uint8_t cmd;

	if (codec_command(nlh, &cmd) < 0)
		return -EBADMSG;
	if (cmd != CTRL_CMD_GETFAMILY)
		return -EOPNOTSUPP;
	if (codec_message_parse(nlh, tb, CTRL_ATTR_MAX, policy) < 0)
		return -EBADMSG;
	if (!tb[CTRL_ATTR_FAMILY_NAME])
		return -EINVAL;
	return strcmp(nla_data(tb[CTRL_ATTR_FAMILY_NAME]), IPVS_GENL_NAME) == 0 ? 0 : -ENOENT;
}

int codec_family_reply(void *buf, size_t size, const struct codec_header *h, uint16_t family)
{
	struct codec_header control = *h;
	struct message m;

	control.family = GENL_ID_CTRL;
	m = message_begin(buf, size, &control, CTRL_CMD_NEWFAMILY);
	message_put_string(&m, CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME);
	message_put_u16(&m, CTRL_ATTR_FAMILY_ID, family);
	message_put_u32(&m, CTRL_ATTR_VERSION, IPVS_GENL_VERSION);
	message_put_u32(&m, CTRL_ATTR_HDRSIZE, 0);
	message_put_u32(&m, CTRL_ATTR_MAXATTR, IPVS_CMD_ATTR_MAX);
	return message_end(&m);
}
