import type { DecisionRequest } from './decisions.ts';
import type { Policy, PolicyFilter } from './policies.ts';
import { POLICY_STATUSES, type PolicyMetadata } from './schema.ts';
import {
  choiceField,
  InvalidField,
  jsonField,
  objectField,
  onlyFields,
  textField,
  wholeNumberField,
  wholeNumberText,
} from './validation.ts';

const LARGEST_ID = 2_147_483_647;
const MOST_POLICIES = 1_000;
const DEEPEST_METADATA = 32;
/** A body may carry the hash instead of the header. */
const HASH_FIELD = 'constitutional_hash';

export function policyIdOf(params: unknown): number {
  return wholeNumberText((params as { id?: unknown }).id, 'id', 1, LARGEST_ID);
}

export function policyFilterOf(query: unknown): PolicyFilter {
  const given = objectField(query, 'query');
  onlyFields(given, ['q', 'status', 'page'], '');
  return {
    page: given.page === undefined ? 1 : wholeNumberText(given.page, 'page', 1, 100_000),
    ...(given.q === undefined ? {} : { q: textField(given.q, 'q', 200) }),
    ...(given.status === undefined ? {} : { status: choiceField(given.status, 'status', POLICY_STATUSES) }),
  };
}

/** The policies of a bulk write; every one is checked before any is written. */
export function policiesOf(body: unknown): Policy[] {
  const given = objectField(body, 'body');
  onlyFields(given, ['policies', HASH_FIELD], '');
  const { policies } = given;
  if (!Array.isArray(policies) || policies.length === 0 || policies.length > MOST_POLICIES) {
    throw new InvalidField('policies', `an array of 1 to ${MOST_POLICIES} policies`, policies);
  }
  return policies.map((policy, index) => policyOf(policy, `policies[${index}]`));
}

function policyOf(value: unknown, at: string): Policy {
  const given = objectField(value, at);
  onlyFields(given, ['id', 'name', 'version', 'status', 'description', 'metadata'], `${at}.`);
  return {
    id: wholeNumberField(given.id, `${at}.id`, 1, LARGEST_ID),
    name: textField(given.name, `${at}.name`, 200),
    version: wholeNumberField(given.version, `${at}.version`, 1, LARGEST_ID),
    status: choiceField(given.status, `${at}.status`, POLICY_STATUSES),
    description: textField(given.description, `${at}.description`, 10_000),
    metadata: metadataOf(given.metadata, `${at}.metadata`),
  };
}

function metadataOf(value: unknown, at: string): PolicyMetadata {
  const given = jsonField(value, at, DEEPEST_METADATA);
  textField(given.constitutional_hash, `${at}.constitutional_hash`, 200);
  return given as PolicyMetadata;
}

export function decisionRequestOf(body: unknown): DecisionRequest {
  const given = objectField(body, 'body');
  onlyFields(given, ['policyId', 'action', 'subject', HASH_FIELD], '');
  return {
    policyId: wholeNumberField(given.policyId, 'policyId', 1, LARGEST_ID),
    action: textField(given.action, 'action', 200),
    subject: textField(given.subject, 'subject', 200),
  };
}
