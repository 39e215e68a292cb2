//! Makes an SDK that speaks JSON speak the compact binary encoding, as Java clients do: a connector that translates.
//!
//! Written for the tests alone, from RFC 8949 and what the Java SDK sends, so that it does not share the mistakes of the encoder
//! and decoder under test.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use serde_json::{Map, Value};

/// The same client, but for the encoding.
pub(crate) fn translated(client: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(Translator { client })
}

#[derive(Debug)]
struct Translator {
    client: SharedHttpClient,
}

#[derive(Debug)]
struct TranslatingConnector(SharedHttpConnector);

impl HttpClient for Translator {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(TranslatingConnector(self.client.http_connector(settings, components)))
    }
}

impl HttpConnector for TranslatingConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let subscribes =
            request.headers().get("x-amz-target").is_some_and(|target| target.ends_with(".SubscribeToShard"));
        if subscribes {
            // Java asks with JSON here, too.
            return self.0.call(request);
        }
        let json: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let mut body = Vec::new();
        encode(&json, "", &mut body);
        request.headers_mut().insert("content-type", CBOR);
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        let answered = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let mut response = answered.await?;
            assert_eq!(response.headers().get("content-type"), Some(CBOR));
            let body = response.body_mut().collect().await.unwrap().to_bytes();
            let mut rest = &body[..];
            let json = decode(&mut rest);
            assert!(rest.is_empty(), "bytes behind the answer");
            Ok(replace_body(response, serde_json::to_vec(&json).unwrap()))
        })
    }
}

fn replace_body(response: HttpResponse, body: Vec<u8>) -> HttpResponse {
    let mut replaced = HttpResponse::new(response.status(), SdkBody::from(body));
    for (name, value) in
        response.headers().iter().filter(|(name, _)| !["content-type", "content-length"].contains(name))
    {
        replaced.headers_mut().insert(name.to_owned(), value.to_owned());
    }
    replaced.headers_mut().insert("content-type", "application/x-amz-json-1.1");
    replaced
}

fn encode(value: &Value, member: &str, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(value) => out.push(0xf4 + u8::from(*value)),
        Value::Number(number) if member.ends_with("Timestamp") => {
            out.push(0xc1);
            head(0, (number.as_f64().unwrap() * 1000.0).round() as u64, out);
        }
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => head(0, number, out),
            (None, Some(number)) => head(1, !number as u64, out),
            _ => panic!("no request has the number {number}"),
        },
        Value::String(text) if member == "Data" => {
            let bytes = base64_simd::STANDARD.decode_to_vec(text).unwrap();
            head(2, bytes.len() as u64, out);
            out.extend(bytes);
        }
        Value::String(text) => {
            head(3, text.len() as u64, out);
            out.extend(text.as_bytes());
        }
        Value::Array(elements) => {
            head(4, elements.len() as u64, out);
            elements.iter().for_each(|element| encode(element, "", out));
        }
        Value::Object(members) => {
            // Of a length that is not given, as Java writes it.
            out.push(0xbf);
            for (name, value) in members {
                encode(&Value::String(name.clone()), "", out);
                encode(value, name, out);
            }
            out.push(0xff);
        }
    }
}

fn head(major: u8, number: u64, out: &mut Vec<u8>) {
    match number {
        0..24 => out.push(major << 5 | number as u8),
        24..0x100 => out.extend([major << 5 | 24, number as u8]),
        _ => {
            out.push(major << 5 | 27);
            out.extend(number.to_be_bytes());
        }
    }
}

fn decode(rest: &mut &[u8]) -> Value {
    let first = take(rest, 1)[0];
    let (major, minor) = (first >> 5, first & 0x1f);
    if first == 0xf6 {
        return Value::Null;
    }
    if major == 7 && minor < 22 {
        return Value::Bool(minor == 21);
    }
    if first == 0xbf {
        let mut members = Map::new();
        while rest[0] != 0xff {
            members.insert(decode(rest).as_str().unwrap().to_owned(), decode(rest));
        }
        take(rest, 1);
        return Value::Object(members);
    }
    let number = match minor {
        0..24 => u64::from(minor),
        24..28 => take(rest, 1 << (minor - 24)).iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
        _ => panic!("of the open-ended kinds answers have maps alone"),
    };
    match major {
        0 => number.into(),
        2 => base64_simd::STANDARD.encode_to_string(take(rest, number as usize)).into(),
        3 => std::str::from_utf8(take(rest, number as usize)).unwrap().into(),
        4 => (0..number).map(|_| decode(rest)).collect(),
        5 => {
            let member = |_| (decode(rest).as_str().unwrap().to_owned(), decode(rest));
            Value::Object((0..number).map(member).collect::<Map<_, _>>())
        }
        6 if number == 1 => (decode(rest).as_u64().unwrap() as f64 / 1000.0).into(),
        _ => panic!("answers have nothing of kind {major}"),
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}

const CBOR: &str = "application/x-amz-cbor-1.1";
