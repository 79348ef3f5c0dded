// SPDX-License-Identifier: Apache-2.0
// Channel credentials whose connections are probed by TCP: a control plane that vanishes without a word is missed
// within seconds. gRPC gives its socket to nobody else.
import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { keepAlive } from '#lib/kit/keepalive.ts';

/** The same credentials, whose connections are probed from now on, and shown to `onDialled` before anything is said on them. */
export function lively(
  credentials: ChannelCredentials,
  onDialled: (socket: Socket) => void = () => {},
): ChannelCredentials {
  const createConnector = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...parameters) => {
    const connector = createConnector(...parameters);
    const connect = connector.connect.bind(connector);
    connector.connect = (socket) => {
      keepAlive(socket);
      onDialled(socket);
      return connect(socket);
    };
    return connector;
  };
  return credentials;
}
