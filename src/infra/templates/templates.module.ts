import { Global, Module } from '@nestjs/common';
import { KeptPages } from './kept-pages.service.js';
import { TemplateTexts } from './template-texts.service.js';

/** Global: funnels keep the texts of their templates, and sign-up and shop show them. */
@Global()
@Module({ providers: [TemplateTexts, KeptPages], exports: [TemplateTexts, KeptPages] })
export class TemplatesModule {}
