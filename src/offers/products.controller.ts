import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiRoute } from '../infra/http/api-route.js';
import { pageQuery, toPage, type PageQuery } from '../infra/http/page.js';
import { notFound } from '../values/not-found.js';
import { productJson, productList, productResponse, slugParam } from './offers.schemas.js';
import { ProductsService } from './products.service.js';

/** Read only: products are written by the funnel they belong to. */
@Controller('api/v1/products')
export class ProductsController {
  constructor(private readonly products: ProductsService) {}

  @Get()
  @ApiRoute({ summary: 'List products', tag: 'products', response: productList })
  async list(@Query({ schema: pageQuery }) query: PageQuery): Promise<unknown> {
    const rows = await this.products.list({ beforeId: query.cursor, limit: query.limit + 1 });
    return toPage(rows, query.limit, productJson);
  }

  @Get(':key')
  @ApiRoute({
    summary: 'One product',
    tag: 'products',
    response: productResponse,
    errors: ['PRODUCT_NOT_FOUND'],
  })
  async get(@Param('key', { schema: slugParam }) key: string): Promise<unknown> {
    const product = await this.products.findByKey(key);
    if (product) return productJson(product);
    throw notFound('product', key, 'key');
  }
}
