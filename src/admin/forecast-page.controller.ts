import { Controller, Get, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ForecastService } from '../funnels/forecast/forecast.service.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPage } from '../infra/http/send-page.js';
import { forecastView } from './forecast-view.js';
import { OwnerAccess } from './owner-access.service.js';

const DAYS = 30;
const BAND_PERCENT = 80;

/** Mails a day and income to come. A page of its own, as it takes a while for many people. */
@Controller('admin/forecast')
export class ForecastPageController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly forecasts: ForecastService,
    private readonly pages: PageRenderer,
  ) {}

  @Get()
  async page(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const forecast = await this.forecasts.forecast({ days: DAYS, level: BAND_PERCENT / 100 });
    const view = { ...forecastView(forecast), band: BAND_PERCENT, days: DAYS };
    sendPage(reply, 200, await this.pages.render('admin/forecast', { ...this.access.frame(owner), ...view }));
  }
}
