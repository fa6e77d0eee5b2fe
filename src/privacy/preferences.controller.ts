import { Body, Controller, Get, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { DataRequestService } from './data-request.service.js';
import { ListChoicesService } from './list-choices.service.js';
import { readPauseForm, readPreferencesForm } from './preferences.js';
import { PausesService } from './pauses.service.js';
import { PreferencesPage } from './preferences-page.service.js';
import { PreferencesService } from './preferences.service.js';

const anything = z.unknown();

/** What I get, whether I am counted, my data, forget me. GET shows, POST changes; the address is shown masked. */
@Controller('preferences')
export class PreferencesController {
  constructor(
    private readonly preferences: PreferencesService,
    private readonly requests: DataRequestService,
    private readonly pauses: PausesService,
    private readonly pages: PreferencesPage,
    private readonly lists: ListChoicesService,
    private readonly messages: MessagesService,
  ) {}

  @Get(':token')
  async show(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const messageId = await this.preferences.mailOf(token);
    if (messageId !== null) await this.messages.linkUsed(messageId);
    const person = await this.pages.known(token, reply);
    if (person) await this.pages.show(reply, { token, person, notice: null });
  }

  @Post(':token')
  async save(
    @Param('token') token: string,
    @Body({ schema: anything }) body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const person = await this.pages.known(token, reply);
    if (!person) return;
    const form = readPreferencesForm(body);
    const where = { ip: request.ip, userAgent: request.headers['user-agent'] ?? '' };
    if (form !== null) {
      await this.preferences.save(person.id, form, where);
      await this.lists.save(person.id, form, where);
    }
    await this.pages.after(reply, token, form === null ? null : 'saved');
  }

  @Post(':token/leave')
  async leave(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const { kind } = await this.preferences.leave(token);
    if (kind === 'kept') return this.pages.leavingKept(reply);
    await this.pages.after(reply, token, 'left');
  }

  @Post(':token/pause')
  async pause(
    @Param('token') token: string,
    @Body({ schema: anything }) body: unknown,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const person = await this.pages.known(token, reply);
    if (!person) return;
    const days = readPauseForm(body);
    if (days !== null) await this.pauses.begin(person.id, days);
    await this.pages.after(reply, token, days === null ? null : 'paused');
  }

  @Post(':token/resume')
  async resume(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.pages.known(token, reply);
    if (!person) return;
    await this.pauses.end(person.id);
    await this.pages.after(reply, token, 'resumed');
  }

  @Post(':token/export')
  async export(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.pages.known(token, reply);
    if (!person) return;
    const asked = await this.requests.ask(person, 'my-data');
    await this.pages.after(reply, token, asked);
  }

  /** Not here: whoever was sent one of the person's mails could press it. */
  @Post(':token/erase')
  async erase(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.pages.known(token, reply);
    if (!person) return;
    const asked = await this.requests.ask(person, 'erase');
    await this.pages.after(reply, token, asked === 'mailed' ? 'erase-mailed' : asked);
  }
}
