// SPDX-License-Identifier: Apache-2.0
// Services behind virtual addresses of their own, the waypoint that serves them, and a client that asks them through its tunnel: for
// tests in which what a service's port speaks matters.
import { MeshClient } from './mesh-client.ts';
import { serviceOf, WaypointProgram } from './waypoint.ts';

export interface VipService {
  readonly name: string;
  readonly vip: string;
  /** By the service's port: what it speaks, and the port on loopback that serves it. */
  readonly ports: Readonly<Record<number, readonly [protocol: 'HTTP11' | 'TCP', served: number]>>;
  /** What its DestinationRule says of servers. */
  readonly upstream?: object;
}

export class WaypointMesh {
  readonly program: WaypointProgram;
  readonly client: MeshClient;

  private constructor(program: WaypointProgram, client: MeshClient) {
    this.program = program;
    this.client = client;
  }

  /** Under the identity of service account `client`. */
  static async start(services: readonly VipService[]): Promise<WaypointMesh> {
    const each = (ports: VipService['ports'], value: (port: readonly [string, number]) => unknown): object =>
      Object.fromEntries(Object.entries(ports).map(([port, one]) => [port, value(one)]));
    const program = await WaypointProgram.start(
      {
        services: [],
        routes: [],
        more: {
          services: services.map(({ name, ports, vip }) => ({
            name,
            namespace: 'default',
            hostname: `${name}.default.svc.cluster.local`,
            vips: [`/${vip}`],
            ports: each(ports, () => 0),
            protocols: each(ports, ([protocol]) => protocol),
          })),
          workloads: services.map(({ name, ports }) => ({
            uid: name,
            name,
            namespace: 'default',
            workloadIps: ['127.0.0.1'],
            services: { [serviceOf(name)]: each(ports, ([, served]) => served) },
          })),
          trafficPolicies: services.flatMap(({ name, upstream }) =>
            upstream === undefined ? [] : [{ name: serviceOf(name), upstreams: [upstream] }],
          ),
        },
      },
      { FAKE_CA: 'true', POD_NAMESPACE: 'default', SERVICE_ACCOUNT: 'waypoint' },
    );
    try {
      const client = await MeshClient.as('spiffe://cluster.local/ns/default/sa/client', program.port('mesh'));
      return new WaypointMesh(program, client);
    } catch (error) {
      await program.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.program.stop();
  }
}
