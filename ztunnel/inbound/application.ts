// SPDX-License-Identifier: Apache-2.0
// Dialling the application of a pod from inside its namespace, from the client's own address where the kernel lets us. Only the
// address is kept, the port is new (facts of the protocol, section 4.4).
import { Endpoint } from '#lib/linux/address.ts';
import { EACCES, EADDRNOTAVAIL, EINVAL, ENOPROTOOPT, EPERM, errnoName } from '#lib/linux/errno.ts';
import { tcpDial } from '#lib/linux/socket.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import { endpointOf } from '#lib/proxy/worker/address.ts';
import type { Pod } from '../inpod/pod.ts';

/** Errors of a bind or an option, not of the connection: going on without the client's address is the remedy. */
const NOT_KEPT: readonly number[] = [-EPERM, -EACCES, -EINVAL, -EADDRNOTAVAIL, -ENOPROTOOPT];

/** Starts a connection to `ip:port` of the pod for a client at `clientIp`. A descriptor or a negative errno. */
export function dialApplication(pod: Pod, ip: Ip, port: number, clientIp: Ip): number {
  const to = endpointOf(ip, port);
  // A pod that calls itself, and a client of the other family, cannot be spoken for.
  const keep = pod.keepsSource && !clientIp.equals(ip) && clientIp.family === ip.family && !clientIp.loopback;
  if (!keep) return tcpDial(to, pod.dialOptions);
  const source = endpointOf(clientIp, 0);
  const fd = tcpDial(to, { ...pod.dialOptions, source, transparent: true, freebind: true });
  if (fd >= 0 || !NOT_KEPT.includes(fd) || pod.runtime.settings.originalSource === 'required') return fd;
  pod.keepsSource = false;
  pod.runtime.telemetry.message('warn', "the kernel does not let us keep clients' addresses", {
    pod: `${pod.info.namespace}/${pod.info.name}`,
    error: errnoName(fd),
  });
  return tcpDial(to, pod.dialOptions);
}

/** Starts a connection to the program behind an application tunnel: both ends on the pod's loopback, of the family of its address. */
export function dialOnLoopback(pod: Pod, family: 4 | 6, port: number): number {
  const loopback = family === 4 ? '127.0.0.1' : '::1';
  const [to, source] = [Endpoint.parse(loopback, port)!, Endpoint.parse(loopback, 0)!];
  return tcpDial(to, { ...pod.dialOptions, source });
}
