/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * CRC-32c of SCTP (RFC 9260, appendix A) after a change of its first four bytes, the ports, without a look at the rest:
 * the CRC is linear over GF(2). Pure.
 */

#include <stdint.h>

/* `change` is the old four bytes XOR the new ones, both as they lie in memory; what is returned is XORed to the CRC. */
uint32_t sctp_crc_of_change(uint32_t change, uint32_t packet_bytes);
