import { Controller, Get, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { seeOther } from '../infra/http/send-page.js';

/** Who types the bare address of the server is most likely its owner; visitors come by a page's own address. */
@Controller()
export class RootController {
  @Get()
  async show(@Res() reply: FastifyReply): Promise<void> {
    await seeOther(reply, '/admin');
  }
}
