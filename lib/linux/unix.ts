// SPDX-License-Identifier: Apache-2.0
// AF_UNIX SEQPACKET sockets by path (unix(7)): whole messages with descriptors between programs of one node. All sockets
// are CLOEXEC and NONBLOCK; connect(2) and accept(2) of such a socket end at once.
import { unlinkSync } from 'node:fs';
import { AmbitError } from '#lib/kit/error.ts';
import { Arena } from './arena.ts';
import { accept } from './calls.ts';
import { AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET } from './constants.ts';
import { callError } from './errno.ts';
import { errnoCell, libc } from './ffi.ts';

/** sun_path holds 108 bytes with its NUL. */
const MAX_PATH_BYTES = 107;
const PATH = 2;
const scratch = Arena.allocate(PATH + MAX_PATH_BYTES + 1);

/** A socket connected to the listener at `path`. Throws SYSCALL_ENOENT, SYSCALL_ECONNREFUSED, SYSCALL_EAGAIN (its backlog is full). */
export function unixConnect(path: string): number {
  return prepared(path, (fd, length) => {
    if (libc.connect(fd, scratch.pointer, length) < 0) throw callError('connect', errnoCell[0]!, path);
  });
}

/** A listening socket at `path`; a stale file there is removed first. Throws SYSCALL_EACCES and the like. */
export function unixListen(path: string, backlog = 16): number {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return prepared(path, (fd, length) => {
    if (libc.bind(fd, scratch.pointer, length) < 0) throw callError('bind', errnoCell[0]!, path);
    if (libc.listen(fd, backlog) < 0) throw callError('listen', errnoCell[0]!, path);
  });
}

/** Takes one waiting connection: its descriptor, or a negative errno (-EAGAIN: none waits). */
export function unixAccept(fd: number): number {
  return accept(fd);
}

function prepared(path: string, use: (fd: number, length: number) => void): number {
  const length = Buffer.byteLength(path);
  if (length > MAX_PATH_BYTES) {
    throw new AmbitError('UNIX_PATH', `socket path ${path} has ${length} bytes, ${MAX_PATH_BYTES} are possible`);
  }
  scratch.view.setUint16(0, AF_UNIX, true);
  scratch.writeCString(PATH, path);
  const fd = libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw callError('socket', errnoCell[0]!, 'AF_UNIX SEQPACKET');
  try {
    use(fd, PATH + length + 1);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}
