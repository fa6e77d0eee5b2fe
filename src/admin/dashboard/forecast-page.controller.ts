import { Controller, Get } from '@nestjs/common';
import { ForecastService } from '../../funnels/forecast/forecast.service.js';
import { type Answer, Page } from '../answers/answer.js';
import { forecastView } from './forecast-view.js';

const DAYS = 30;
const BAND_PERCENT = 80;

/** Mails a day and income to come. A page of its own, as it takes a while for many people. */
@Controller('admin/forecast')
export class ForecastPageController {
  constructor(private readonly forecasts: ForecastService) {}

  @Get()
  async page(): Promise<Answer> {
    const forecast = await this.forecasts.forecast({ days: DAYS, level: BAND_PERCENT / 100 });
    return new Page('forecast', { ...forecastView(forecast), band: BAND_PERCENT, days: DAYS });
  }
}
