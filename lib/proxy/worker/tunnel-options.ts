// SPDX-License-Identifier: Apache-2.0
// What every proxy's tunnels allow and wait for, towards both sides.
import type { H2Limits } from '#lib/wire/h2/settings.ts';

/** Until unacknowledged bytes of a tunnel mean that it is dead, ms; the same as a PING without answer. */
export const TUNNEL_USER_TIMEOUT_MS = 20_000;

/**
 * Each stream of a tunnel is somebody's TCP connection, and applications open, abort and reset thousands of them a second (health
 * checks do little else). What protects other HTTP/2 servers would let one such client cut its pod's whole tunnel. But a stream that is
 * reset before its application was dialled for was given up within milliseconds: a program that is killed leaves as many as a tunnel has
 * streams, two hundred. A waypoint, which dials for requests, allows five times that. And what breaks HTTP/2's rules is a proxy: other
 * servers' limit holds.
 */
export const TUNNEL_LIMITS: Partial<H2Limits> = Object.freeze({
  controlBurst: 20_000,
  controlPerSecond: 20_000,
  resetBurst: 5_000,
  resetPerSecond: 5_000,
  idleResetBurst: 1_000,
  idleResetPerSecond: 500,
});

/**
 * A node proxy dials within a turn or two of a stream's beginning, so fewer are given up before it: two programs that are killed at once
 * may leave what they had begun.
 */
export const NODE_TUNNEL_LIMITS: Partial<H2Limits> = Object.freeze({
  ...TUNNEL_LIMITS,
  idleResetBurst: 400,
  idleResetPerSecond: 200,
});
