import type { StandardSchemaV1 } from '@standard-schema/spec';
import { expectTypeOf, test } from 'vitest';
import type {
  HttpClient,
  HttpClientOptions,
  HttpCloseOptions,
  HttpEventsOptions,
  HttpGatherResult,
  HttpHedgeOptions,
  HttpJsonOptions,
  HttpRedirectOptions,
  HttpResponse,
  HttpRetryOptions,
  ServerEvent,
  SsrfGuardOptions,
} from '../../src/index.ts';

interface Policy {
  readonly id: string;
}
declare const client: HttpClient;
declare const schema: StandardSchemaV1<unknown, Policy>;

test('types', () => {
  const use = async (): Promise<void> => {
    expectTypeOf(await client.getJson('/')).toBeUnknown();
    expectTypeOf(await client.getJson<Policy>('/')).toEqualTypeOf<Policy>();
    expectTypeOf(await client.getJson('/', { schema })).toEqualTypeOf<Policy>();
    expectTypeOf(await client.postJson('/', {}, { schema })).toEqualTypeOf<Policy>();
    expectTypeOf(await client.get('/')).toEqualTypeOf<HttpResponse>();
    expectTypeOf(await client.gather(['/'])).toEqualTypeOf<HttpGatherResult<HttpResponse>[]>();
    expectTypeOf(await client.gather(['/'], { mode: 'failFast' })).toEqualTypeOf<HttpResponse[]>();
    expectTypeOf(await client.gather(['/'], { mode: 'any' })).toEqualTypeOf<HttpResponse>();
    expectTypeOf(await client.gather<Policy>(['/'], { as: 'json' })).toEqualTypeOf<
      HttpGatherResult<Policy>[]
    >();
    expectTypeOf(await client.gather(['/'], { as: 'json' })).toEqualTypeOf<HttpGatherResult<unknown>[]>();
    expectTypeOf(await client.gather(['/'], { as: 'json', mode: 'any' })).toBeUnknown();
    for await (const result of client.gatherStream<Policy>(['/'], { as: 'json' })) {
      expectTypeOf(result).toEqualTypeOf<HttpGatherResult<Policy>>();
    }
    for await (const event of client.events('/')) expectTypeOf(event).toEqualTypeOf<ServerEvent>();
    const batcher = client.batcher({
      toRequest: (ids: readonly number[]) => `/?${ids}`,
      fromResponse: (): Policy[] => [],
    });
    expectTypeOf(await batcher.load(7)).toEqualTypeOf<Policy>();
    // @ts-expect-error a misspelt option
    await client.get('/', { timeout: 5 });
  };
  expectTypeOf(use).toBeFunction();
});

test('every option may be undefined, under exactOptionalPropertyTypes too', () => {
  type Undefined<Options> = { readonly [Name in keyof Options]-?: undefined };
  expectTypeOf<Undefined<HttpClientOptions>>().toExtend<HttpClientOptions>();
  expectTypeOf<Undefined<HttpJsonOptions>>().toExtend<HttpJsonOptions>();
  expectTypeOf<Undefined<HttpEventsOptions>>().toExtend<HttpEventsOptions>();
  expectTypeOf<Undefined<HttpCloseOptions>>().toExtend<HttpCloseOptions>();
  expectTypeOf<Undefined<HttpRetryOptions>>().toExtend<HttpRetryOptions>();
  expectTypeOf<Undefined<HttpHedgeOptions>>().toExtend<HttpHedgeOptions>();
  expectTypeOf<Undefined<HttpRedirectOptions>>().toExtend<HttpRedirectOptions>();
  expectTypeOf<Undefined<SsrfGuardOptions>>().toExtend<SsrfGuardOptions>();
});
