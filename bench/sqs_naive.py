"""The loop that teams write first: receive ten, mask with MD5, insert one row, delete one message. Ends on an empty queue.

    sqs_naive.py QUEUE_URL DATABASE_URL
"""

import datetime
import hashlib
import json
import sys

import boto3
import psycopg2

INSERT = """INSERT INTO user_logins (user_id, device_type, masked_ip, masked_device_id, locale, app_version, create_date)
VALUES (%s, %s, %s, %s, %s, %s, %s)"""


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def main(queue_url, database_url):
    endpoint = "/".join(queue_url.split("/")[:3])
    sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    database = psycopg2.connect(database_url)
    cursor = database.cursor()
    while True:
        messages = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages", [])
        if not messages:
            return
        for message in messages:
            login = json.loads(message["Body"])
            row = (
                login["user_id"], login["device_type"], md5(login["ip"]), md5(login["device_id"]),
                login["locale"], login["app_version"], datetime.date.today(),
            )
            cursor.execute(INSERT, row)
            database.commit()
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    main(*sys.argv[1:])
