//! XXH3, 64 bits, seed 0: the hash that Kafka tells changes of topics by (KIP-1101).
//!
//! It is written into records, so that it must be the same hash as Kafka's. By the specification of the xxHash library.

/// The secret that XXH3 mixes in by default.
const SECRET: [u8; 192] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde,
    0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79,
    0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46,
    0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb,
    0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2,
    0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c,
    0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59,
    0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3,
    0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb, 0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3,
    0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8,
    0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb,
    0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

const PRIME32_1: u64 = 0x9e37_79b1;
const PRIME32_2: u64 = 0x85eb_ca77;
const PRIME32_3: u64 = 0xc2b2_ae3d;
const PRIME64_1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME64_2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const PRIME64_3: u64 = 0x1656_67b1_9e37_79f9;
const PRIME64_4: u64 = 0x85eb_ca77_c2b2_ae63;
const PRIME64_5: u64 = 0x27d4_eb2f_1656_67c5;
const PRIME_MX1: u64 = 0x1656_6791_9e37_79f9;
const PRIME_MX2: u64 = 0x9fb2_1c65_1e98_df25;

/// Bytes that one round of a long input takes, and accumulators of 8 bytes each that it goes into.
const STRIPE: usize = 64;
/// Bytes of the secret that one round goes on by.
const SECRET_STEP: usize = 8;
/// Rounds between two scrambles.
const ROUNDS: usize = (SECRET.len() - STRIPE) / SECRET_STEP;

/// The first 8 bytes from `at`, little-endian; those beyond the end count as 0.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    (0..8).rev().fold(0, |value, next| (value << 8) | u64::from(bytes.get(at + next).copied().unwrap_or(0)))
}

fn u32_at(bytes: &[u8], at: usize) -> u64 {
    u64_at(bytes, at) & 0xffff_ffff
}

fn byte_at(bytes: &[u8], at: usize) -> u64 {
    u64_at(bytes, at) & 0xff
}

/// The product of two numbers, folded.
fn mul_fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

fn avalanche(mut hash: u64) -> u64 {
    hash ^= hash >> 37;
    hash = hash.wrapping_mul(PRIME_MX1);
    hash ^ (hash >> 32)
}

fn avalanche_64(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(PRIME64_2);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(PRIME64_3);
    hash ^ (hash >> 32)
}

fn mix_16(input: &[u8], at: usize, secret: usize) -> u64 {
    mul_fold(u64_at(input, at) ^ u64_at(&SECRET, secret), u64_at(input, at + 8) ^ u64_at(&SECRET, secret + 8))
}

fn up_to_16(input: &[u8]) -> u64 {
    let length = input.len();
    let len = length as u64;
    match length {
        0 => avalanche_64(u64_at(&SECRET, 56) ^ u64_at(&SECRET, 64)),
        1..=3 => {
            let first = byte_at(input, 0);
            let middle = byte_at(input, length / 2);
            let last = byte_at(input, length - 1);
            let combined = (first << 16) | (middle << 24) | last | (len << 8);
            let flip = u32_at(&SECRET, 0) ^ u32_at(&SECRET, 4);
            avalanche_64(combined ^ flip)
        }
        4..=8 => {
            let combined = u32_at(input, length - 4).wrapping_add(u32_at(input, 0) << 32);
            let flip = u64_at(&SECRET, 8) ^ u64_at(&SECRET, 16);
            let mut hash = combined ^ flip;
            hash ^= hash.rotate_left(49) ^ hash.rotate_left(24);
            hash = hash.wrapping_mul(PRIME_MX2);
            hash ^= (hash >> 35).wrapping_add(len);
            hash = hash.wrapping_mul(PRIME_MX2);
            hash ^ (hash >> 28)
        }
        _ => {
            let low = u64_at(input, 0) ^ u64_at(&SECRET, 24) ^ u64_at(&SECRET, 32);
            let high = u64_at(input, length - 8) ^ u64_at(&SECRET, 40) ^ u64_at(&SECRET, 48);
            let hash =
                len.wrapping_add(low.swap_bytes()).wrapping_add(high).wrapping_add(mul_fold(low, high));
            avalanche(hash)
        }
    }
}

fn up_to_128(input: &[u8]) -> u64 {
    let length = input.len();
    let mut hash = (length as u64).wrapping_mul(PRIME64_1);
    for at in (0..=(length - 1) / 32).rev() {
        hash = hash.wrapping_add(mix_16(input, 16 * at, 32 * at));
        hash = hash.wrapping_add(mix_16(input, length - 16 * (at + 1), 32 * at + 16));
    }
    avalanche(hash)
}

fn up_to_240(input: &[u8]) -> u64 {
    let length = input.len();
    let mut hash = (length as u64).wrapping_mul(PRIME64_1);
    for at in 0..8 {
        hash = hash.wrapping_add(mix_16(input, 16 * at, 16 * at));
    }
    hash = avalanche(hash);
    for at in 8..length / 16 {
        hash = hash.wrapping_add(mix_16(input, 16 * at, 16 * (at - 8) + 3));
    }
    avalanche(hash.wrapping_add(mix_16(input, length - 16, 136 - 17)))
}

fn accumulate(accumulators: &mut [u64; 8], input: &[u8], at: usize, secret: usize) {
    for lane in 0..8 {
        let value = u64_at(input, at + 8 * lane);
        let keyed = value ^ u64_at(&SECRET, secret + 8 * lane);
        accumulators[lane ^ 1] = accumulators[lane ^ 1].wrapping_add(value);
        accumulators[lane] = accumulators[lane].wrapping_add((keyed & 0xffff_ffff).wrapping_mul(keyed >> 32));
    }
}

fn scramble(accumulators: &mut [u64; 8]) {
    for (lane, accumulator) in accumulators.iter_mut().enumerate() {
        *accumulator ^= *accumulator >> 47;
        *accumulator ^= u64_at(&SECRET, SECRET.len() - STRIPE + 8 * lane);
        *accumulator = accumulator.wrapping_mul(PRIME32_1);
    }
}

fn long(input: &[u8]) -> u64 {
    let length = input.len();
    let mut accumulators =
        [PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1];
    let stripes = (length - 1) / STRIPE;
    for stripe in 0..stripes {
        accumulate(&mut accumulators, input, STRIPE * stripe, SECRET_STEP * (stripe % ROUNDS));
        if stripe % ROUNDS == ROUNDS - 1 {
            scramble(&mut accumulators);
        }
    }
    accumulate(&mut accumulators, input, length - STRIPE, SECRET.len() - STRIPE - 7);
    let mut hash = (length as u64).wrapping_mul(PRIME64_1);
    for pair in 0..4 {
        hash = hash.wrapping_add(mul_fold(
            accumulators[2 * pair] ^ u64_at(&SECRET, 11 + 16 * pair),
            accumulators[2 * pair + 1] ^ u64_at(&SECRET, 19 + 16 * pair),
        ));
    }
    avalanche(hash)
}

/// The hash of some bytes.
pub(super) fn xxh3_64(input: &[u8]) -> u64 {
    match input.len() {
        0..=16 => up_to_16(input),
        17..=128 => up_to_128(input),
        129..=240 => up_to_240(input),
        _ => long(input),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_library_that_kafka_uses() {
        for (length, hash) in [
            (0_usize, 0x2d06_8005_38d3_94c2_u64),
            (1, 0x13e6_08bc_156d_efed),
            (3, 0xa908_8dda_485b_481c),
            (4, 0x6d92_53b1_6c8b_1ed3),
            (8, 0x6053_9db6_3047_1163),
            (9, 0xfeff_6683_61d7_23a8),
            (16, 0xb8c8_59b0_f030_b585),
            (17, 0x714a_0440_8e79_b80f),
            (64, 0x287e_b1fa_9e4b_e2c1),
            (128, 0x6742_5a03_6502_61bf),
            (129, 0xc664_bf33_11c6_abc4),
            (240, 0x6455_6dc6_b462_a6cf),
            (241, 0x8bea_dd3a_8874_fe17),
            (512, 0xf582_02b8_d901_9d1d),
            (1_024, 0x9b81_661c_641c_72b1),
            (1_025, 0x806c_2072_ed71_3576),
            (2_048, 0xabe6_0481_3ba6_2ed1),
            (5_000, 0x799a_addd_7339_581d),
        ] {
            let input: Vec<u8> = (0..length).map(|at| (at * 7 + 3) as u8).collect();
            assert_eq!(xxh3_64(&input), hash, "{length}");
        }
    }
}
