// SPDX-License-Identifier: Apache-2.0
// Recipes in several versions, for routing: plain HTTP/1.1. GET answers with version and pod; POST /fail makes this pod
// answer 503 from now on, POST /heal ends that; GET /count tells how many it has refused.
import { createServer } from 'node:http';
import { hostname } from 'node:os';

export function serveRecipes(port: number, version: string): void {
  let failing = false;
  let refused = 0;
  createServer((request, response) => {
    const reply = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json', 'x-version': version });
      response.end(`${JSON.stringify({ service: 'recipes', version, pod: hostname(), ...body })}\n`);
    };
    switch (`${request.method} ${request.url}`) {
      case 'POST /fail':
      case 'POST /heal':
        failing = request.url === '/fail';
        return reply(200, { failing });
      case 'GET /count':
        return reply(200, { refused });
      case 'GET /healthz':
        return reply(200, {});
    }
    if (!failing) return reply(200, {});
    refused++;
    return reply(503, { failing });
  }).listen(port);
}
