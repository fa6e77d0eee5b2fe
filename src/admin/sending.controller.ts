import { Body, Controller, Get, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GenerationGuard } from '../delivery/generation/generation-guard.service.js';
import { HeldService } from '../delivery/pacing/held.service.js';
import { SendingService } from '../delivery/pacing/sending.service.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { seeOther, sendPage } from '../infra/http/send-page.js';
import { confirmForm, heldForm, type ConfirmForm, type HeldForm } from './admin.schemas.js';
import { OwnerAccess } from './owner-access.service.js';
import { limitName, paceWords, sendingPage } from './sending-view.js';

/** How sending stands, and the decisions that only the owner can take. */
@Controller('admin/sending')
export class SendingPageController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly sending: SendingService,
    private readonly guard: GenerationGuard,
    private readonly held: HeldService,
    private readonly alerts: AlertsService,
    private readonly pages: PageRenderer,
  ) {}

  @Get()
  async page(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const [state, estimate, alerts] = await Promise.all([
      this.sending.state(),
      this.sending.estimate(null),
      this.alerts.open(),
    ]);
    const html = await this.pages.render('admin/sending', {
      ...this.access.frame(owner),
      maySend: state.maySend,
      reason: state.reason,
      unknown: state.unknown,
      alerts,
      ...sendingPage(state),
      estimate: {
        ...estimate,
        pace: paceWords(estimate.perSecond),
        limitedBy: estimate.limitedBy === null ? null : limitName(estimate.limitedBy),
      },
    });
    sendPage(reply, 200, html);
  }

  @Post('confirm')
  async confirm(
    @Body({ schema: confirmForm }) { unsent }: ConfirmForm,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.decide(request, reply, async () => this.guard.confirm(unsent));
  }

  @Post('held')
  async decideHeld(
    @Body({ schema: heldForm }) { reason, decision }: HeldForm,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.decide(request, reply, async () =>
      decision === 'release' ? this.held.release({ reason }) : this.held.cancel({ reason }),
    );
  }

  private async decide(
    request: FastifyRequest,
    reply: FastifyReply,
    work: () => Promise<unknown>,
  ): Promise<void> {
    if ((await this.access.requireForPost(request, reply)) === null) return;
    await work();
    await seeOther(reply, '/admin/sending');
  }
}
